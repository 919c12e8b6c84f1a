import { execa } from 'execa'
import { Redis } from 'ioredis'
import { containerLaunch } from '../machine/docker.ts'
import type { Machine } from '../machine/machine.ts'
import { findOrInstall, firstWay, type Place, type Server } from './server.ts'

const image = 'redis:7'
const title = 'Redis'
const urlOf = ({ ports }: Place) => `redis://127.0.0.1:${ports.redis}`

const install = `Install it:
  Debian, Ubuntu:  sudo apt-get install redis-server
  macOS:           brew install redis
  Windows:         use WSL, then as on Ubuntu
  or start Docker, or set REDIS_URL to a server that runs.`

export const redis: Server = {
  name: 'redis',
  title,
  ports: ['redis'],
  env: (place) => ({ REDIS_URL: urlOf(place) }),
  choose: (machine) =>
    firstWay(title, [() => given(machine), () => installed(machine), () => container(machine)], install),
}

async function given({ env }: Machine) {
  const url = env['REDIS_URL']
  if (!url) return { not: 'REDIS_URL is not set' }
  await ping(url).catch((cause) => {
    throw new Error(`REDIS_URL is set, but no Redis answers there: ${(cause as Error).message}`)
  })
  return { what: `the one of REDIS_URL`, why: 'the environment names it', given: { REDIS_URL: url } }
}

async function installed(machine: Machine) {
  const found = await findOrInstall(machine, 'redis-server', ['redis-server'])
  if ('not' in found) return found
  const { stdout } = await execa(found.path, ['--version'])
  return {
    what: `${/v=(\S+)/.exec(stdout)?.[1] ?? ''} (${found.path})`,
    why: found.why,
    launch: (place: Place) => ({
      file: found.path,
      args: [...options(place.ports.redis), '--bind', '127.0.0.1', '--dir', place.folder],
      cwd: place.folder,
      ready: () => ping(urlOf(place)),
    }),
  }
}

async function container(machine: Machine) {
  if (!(await machine.docker.running())) return { not: 'no running Docker' }
  if (!(await machine.docker.obtain(image, machine.report))) return { not: `Docker could not fetch ${image}` }
  return {
    what: `${image} in Docker`,
    why: 'no redis-server on PATH',
    launch: (place: Place) => ({
      ...containerLaunch({
        name: 'redis',
        folder: place.folder,
        image,
        ports: [[place.ports.redis, 6379]],
        volumes: [[place.folder, '/data']],
        command: ['redis-server', ...options(6379), '--dir', '/data'],
      }),
      ready: () => ping(urlOf(place)),
    }),
  }
}

/** At most a second of writes is lost at power loss, none when the process alone dies. */
function options(port: number): string[] {
  return ['--port', String(port), '--appendonly', 'yes', '--appendfsync', 'everysec', '--save', '', '--daemonize', 'no']
}

async function ping(url: string): Promise<void> {
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    connectTimeout: 3000,
    maxRetriesPerRequest: 0,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    // Still reading its file after a restart: the connection works and commands fail with LOADING.
    await client.ping()
  } finally {
    client.disconnect()
  }
}
