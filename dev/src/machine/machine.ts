import { resolve } from 'node:path'
import type { Reporter } from '../reporter.ts'
import { aptInstaller, type PackageInstaller } from './apt.ts'
import { cacheFolder, FailureMemory } from './cache.ts'
import { findCommand } from './commands.ts'
import { type Docker, dockerEngine } from './docker.ts'

/** What the choice of a server depends on. Tests describe other machines with it. */
export interface Machine {
  env: NodeJS.ProcessEnv
  cache: string
  failures: FailureMemory
  apt: PackageInstaller
  docker: Docker
  report: Reporter
  find(command: string): Promise<string | undefined>
}

export function thisMachine(env: NodeJS.ProcessEnv, report: Reporter): Machine {
  const cache = cacheFolder(env)
  return {
    env,
    cache,
    failures: new FailureMemory(cache),
    apt: aptInstaller(env),
    docker: dockerEngine(env),
    report,
    find: (command) => findCommand(command, env),
  }
}

export const repositoryRoot = resolve(import.meta.dirname, '../../..')
