import { readdir, readFile, readlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { basename } from 'node:path'
import { execa } from 'execa'
import getPort from 'get-port'

/**
 * Below the range that the system takes for outgoing connections: while a server is down for a restart, nobody's
 * outgoing connection can take its port, and a client that retries can't connect to itself.
 */
const firstFree = 15_000
const lastFree = 31_999
/** Processes that look for ports at the same time (test files) use different blocks, because a found port is not yet taken. */
const blocks = 16

export function freePort(): Promise<number> {
  const size = Math.floor((lastFree - firstFree + 1) / blocks)
  const first = firstFree + (process.pid % blocks) * size
  const candidates = Array.from({ length: 50 }, () => first + Math.floor(Math.random() * size))
  return getPort({ port: candidates, host: '127.0.0.1' })
}

export interface WantedPort {
  port: number
  /** What it is for, as a person says it: 'the gateway', 'Redis'. */
  purpose: string
  /** Environment variable that changes it. */
  setting: string
}

/** Throws one error that names every taken port, who holds it (if known) and how to change it. */
export async function requirePorts(wanted: WantedPort[]): Promise<void> {
  const complaints = await Promise.all(
    wanted.map(async ({ port, purpose, setting }, index) => {
      const other = wanted.slice(0, index).find((earlier) => earlier.port === port)
      if (other) return [`Port ${port} is set for both ${other.purpose} (${other.setting}) and ${purpose} (${setting})`]
      if (await isFree(port)) return []
      const owner = await portOwner(port)
      return [
        `Port ${port} (${purpose}) is taken${owner ? ` by ${owner}` : ''}. Stop that, or choose another: ${setting}=${port + 1000}`,
      ]
    }),
  )
  const lines = complaints.flat()
  if (lines.length > 0) throw new Error(lines.join('\n'))
}

export function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** `name (pid N)` of the process that listens on a port, as far as this user may see it. */
export async function portOwner(port: number): Promise<string | undefined> {
  const pid = process.platform === 'linux' ? await pidByProc(port) : await pidByLsof(port)
  if (pid === undefined) return undefined
  const command =
    process.platform === 'linux'
      ? (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ')
      : (await execa('ps', ['-o', 'command=', '-p', String(pid)], { reject: false })).stdout
  return `${programOf(command) || 'a process'} (pid ${pid})`
}

/** 'redis-server' of a command line; with an interpreter what it runs, too: 'node run-services.ts'. */
function programOf(command: string): string {
  const [program = '', ...words] = command.trim().split(/\s+/)
  const name = basename(program)
  const script = /^(node|lua|python|perl|ruby|java|bun|deno)/.test(name) && words.find((word) => !word.startsWith('-'))
  return script ? `${name} ${basename(script)}` : name
}

async function pidByLsof(port: number): Promise<number | undefined> {
  const { stdout } = await execa('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-t'], { reject: false })
  const pid = Number.parseInt(stdout ?? '', 10)
  return Number.isNaN(pid) ? undefined : pid
}

/** Reads /proc itself: a small machine has neither `ss` nor `lsof`. */
async function pidByProc(port: number): Promise<number | undefined> {
  const inodes = new Set<string>()
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of (await readFile(table, 'utf8').catch(() => '')).split('\n').slice(1)) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/)
      if (state === '0A' && inode && Number.parseInt(local?.split(':')[1] ?? '', 16) === port)
        inodes.add(`socket:[${inode}]`)
    }
  }
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
      if (inodes.has(target)) return Number(pid)
    }
  }
  return undefined
}
