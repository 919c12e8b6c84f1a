import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'

export type ServerKind = 'redis' | 'nats' | 'mongodb'

/** A server for one test, which may kill it and start it again on the same port with the same data. */
export interface OwnServer {
  url: string
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>
  /** `more`: arguments of its command line. */
  start(...more: string[]): Promise<void>
  /** SIGSTOP: connections stay, nothing is answered any more. */
  freeze(): void
  /** SIGCONT */
  thaw(): void
  /** Empties its data folder, as a lost disk would; only while it is down. */
  erase(): Promise<void>
  /** Keeps a copy of its data folder. Only while it is down. */
  save(): Promise<void>
  /** Goes back to the copy, as a disk that lost its last writes would; only while it is down. */
  restore(): Promise<void>
}

const mongodPath = () =>
  globSync(join(homedir(), '.cache', 'yingchuang-im', 'secantusdb-*', 'bin', 'secantusd-rs')).at(-1) ?? 'secantusd-rs'

const commands: Record<ServerKind, (port: number, folder: string, isVolatile: boolean) => [string, ...string[]]> = {
  redis: (port, folder) => ['redis-server', '--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
  nats: (port, folder) => ['nats-server', '-a', '127.0.0.1', '-p', `${port}`, '-js', '-sd', folder],
  mongodb: (port, folder, isVolatile) => [
    mongodPath(),
    ...['--host', '127.0.0.1', '--port', `${port}`, '--storage-path', folder, '--cache-size', '64M'],
    ...(isVolatile ? [] : ['--sync-on-commit']),
  ],
}

const urls: Record<ServerKind, (port: number) => string> = {
  redis: (port) => `redis://127.0.0.1:${port}`,
  nats: (port) => `nats://127.0.0.1:${port}`,
  mongodb: (port) => `mongodb://127.0.0.1:${port}/?directConnection=true`,
}

/**
 * Starts a server for a test. Returns undefined and skips the test where the server's program is not installed. A volatile
 * MongoDB, for a test that does not kill it, does not wait for the disk.
 */
export async function ownServer(
  t: Test,
  kind: ServerKind,
  { isVolatile = false } = {},
): Promise<OwnServer | undefined> {
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), `kit-${kind}-`))
  const saved = `${folder}-saved`
  const [file, ...args] = commands[kind](port, folder, isVolatile)
  if (spawnSync(file, ['--version']).error) {
    t.pass(`${kind} can be killed`, { skip: `${file} is not installed` })
    return undefined
  }
  let running: ChildProcess | undefined
  const server: OwnServer = {
    url: urls[kind](port),
    async start(...more) {
      running = spawn(file, [...args, ...more], { stdio: 'ignore' })
      await eventually(() => answers(port), 20_000)
    },
    async kill() {
      const ending = running
      running = undefined
      if (!ending || ending.exitCode !== null) return
      const gone = new Promise((resolve) => ending.once('exit', resolve))
      ending.kill('SIGKILL')
      await gone
    },
    freeze() {
      running?.kill('SIGSTOP')
      // The signal takes a moment, in which the server would still answer.
      for (const until = Date.now() + 1000; !isStopped(running?.pid) && Date.now() < until; );
    },
    thaw: () => void running?.kill('SIGCONT'),
    async erase() {
      await rm(folder, { recursive: true, force: true })
      await mkdir(folder)
    },
    save: () => cp(folder, saved, { recursive: true }),
    async restore() {
      await rm(folder, { recursive: true, force: true })
      await cp(saved, folder, { recursive: true })
    },
  }
  t.after(async () => {
    await server.kill()
    for (const path of [folder, saved]) await rm(path, { recursive: true, force: true })
  })
  await server.start()
  return server
}

/** Linux tells it; elsewhere the signal has to do. */
function isStopped(pid: number | undefined): boolean {
  const file = `/proc/${pid}/stat`
  return !existsSync(file) || /\) T /.test(readFileSync(file, 'utf8'))
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (up: boolean) => {
      socket.destroy()
      resolve(up)
    }
    socket.once('connect', () => end(true)).once('error', () => end(false))
  })
}
