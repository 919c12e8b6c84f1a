import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { EventEnvelope, Payload } from '@im/contracts'
import { userUpdated } from '@im/contracts/user'
import {
  connectRuntime,
  type DatabaseConfig,
  type EventHandler,
  handleEvents,
  type Runtime,
  type ServiceConfig,
  serviceConfig,
} from '@im/service-kit'
import { dropNamespace, testEnv } from '@im/service-kit/testing'
import type { Test } from 'tap'

/** What any service reads of its environment. */
export const readConfig = (env: NodeJS.ProcessEnv) =>
  serviceConfig('user', { own: {}, database: true }).read(env) as ServiceConfig & DatabaseConfig

/** The environment of one test: its own namespace, removed when the test ends. */
export function ownNamespace(t: Test, extra: Record<string, string> = {}): Record<string, string> {
  const env = testEnv({ LOG_LEVEL: process.env['DBG'] ?? 'silent', ...extra })
  // Servers of the test's own go with their folders.
  t.after(() => dropNamespace(testEnv({ NAMESPACE: env['NAMESPACE'] ?? '' })))
  return env
}

/** Stores, bus and outbox as a service has them, by default the one that publishes the events of users; closed when the test ends. */
export async function startRuntime(t: Test, env = ownNamespace(t), service = 'user'): Promise<Runtime> {
  const runtime = await connectRuntime(service, readConfig(env))
  t.after(() => runtime.close())
  return runtime
}

/** Until the test ends, or before. */
export function handle(t: Test, runtime: Runtime, handlers: EventHandler[]): { close(): Promise<void> } {
  const handling = handleEvents(runtime, handlers)
  t.after(() => handling.close())
  return handling
}

/** A process of its own that runs a file of this folder, and has said its first word. Killed when the test ends. */
export async function startProcess(
  t: Test,
  file: string,
  env: Record<string, string>,
  ...args: string[]
): Promise<ChildProcess & { killHard(): Promise<void> }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, file), ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const killHard = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  t.after(killHard)
  const exited = once(child, 'exit').then(() => Promise.reject(new Error(`${file} ended before it said anything`)))
  exited.catch(() => {})
  await Promise.race([once(child.stdout, 'data'), exited])
  return Object.assign(child, { killHard })
}

type Update = Payload<typeof userUpdated>

export const update = (userId: number, nickname = ''): Update => ({ userId, nickname, account: '', updatedAt: 1 })

/** An event as the outbox makes it: the first about a user unless told otherwise. */
export const envelope = (userId: number, more: Partial<EventEnvelope<Update>> = {}): EventEnvelope<Update> => ({
  id: `e${userId}-${more.sequence ?? 1}`,
  name: userUpdated.name,
  at: Date.now(),
  aggregate: String(userId),
  sequence: 1,
  data: update(userId),
  ...more,
})
