import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import { type Machine, thisMachine } from '../src/machine/machine.ts'
import { silentReporter } from '../src/reporter.ts'

export async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'im-dev-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export interface FakeMachine extends Machine {
  folder: string
  /** Puts a program on PATH that prints this and ends. */
  program(name: string, output: string): Promise<void>
  /** The same with these lines of shell. */
  script(name: string, lines: string): Promise<void>
  /** The same in a file of the user's cache. */
  cached(path: string, output: string): Promise<void>
}

/** A machine with an empty PATH and cache, without root, Docker or a way out. */
export async function emptyMachine(t: Test, env: NodeJS.ProcessEnv = {}): Promise<FakeMachine> {
  const folder = await temporaryFolder(t)
  const bin = join(folder, 'bin')
  const machine = thisMachine(
    {
      PATH: bin,
      IM_PATH_ONLY: '1',
      XDG_CACHE_HOME: join(folder, 'cache'),
      MONGOMS_DOWNLOAD_MIRROR: 'http://127.0.0.1:9',
      ...env,
    },
    silentReporter,
  )
  const write = async (path: string, lines: string) => {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, `#!/bin/sh\n${lines}\n`)
    await chmod(path, 0o755)
  }
  const print = (output: string) => `printf '%s\\n' '${output}'`
  return {
    ...machine,
    apt: { available: async () => false, install: async () => {} },
    docker: {
      ...machine.docker,
      running: async () => false,
      obtain: async () => false,
      build: async () => {},
    },
    folder,
    program: (name, output) => write(join(bin, name), print(output)),
    script: (name, lines) => write(join(bin, name), lines),
    cached: (path, output) => write(join(machine.cache, path), print(output)),
  }
}
