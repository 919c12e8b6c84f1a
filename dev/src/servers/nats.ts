import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { execa } from 'execa'
import { containerLaunch } from '../machine/docker.ts'
import type { Machine } from '../machine/machine.ts'
import { findOrInstall, firstWay, type Place, type Server } from './server.ts'

const image = 'nats:2.12'
const title = 'NATS'
const urlOf = ({ ports }: Place) => `nats://127.0.0.1:${ports.nats}`

const install = `Install it:
  Debian, Ubuntu:  sudo apt-get install nats-server
  macOS:           brew install nats-server
  Windows:         use WSL, then as on Ubuntu
  or start Docker, or set NATS_URL to a server that runs with JetStream.`

export const nats: Server = {
  name: 'nats',
  title,
  ports: ['nats'],
  env: (place) => ({ NATS_URL: urlOf(place) }),
  choose: (machine) =>
    firstWay(title, [() => given(machine), () => installed(machine), () => container(machine)], install),
}

async function given({ env }: Machine) {
  const url = env['NATS_URL']
  if (!url) return { not: 'NATS_URL is not set' }
  await askJetStream(url).catch((cause) => {
    throw new Error(`NATS_URL is set, but no NATS with JetStream answers there: ${(cause as Error).message}`)
  })
  return { what: 'the one of NATS_URL', why: 'the environment names it', given: { NATS_URL: url } }
}

async function installed(machine: Machine) {
  const found = await findOrInstall(machine, 'nats-server', ['nats-server'])
  if ('not' in found) return found
  const version = /v?(\d+\.\d+\.\d+)/.exec((await execa(found.path, ['--version'])).stdout)?.[1] ?? '2.0.0'
  return {
    what: `${version} (${found.path})`,
    why: found.why,
    launch: (place: Place) => {
      const file = join(place.folder, 'nats.conf')
      return {
        file: found.path,
        args: ['--config', file],
        cwd: place.folder,
        prepare: () =>
          writeFile(
            file,
            configuration({
              ...{ host: '127.0.0.1', port: place.ports.nats, store: place.folder, version },
              isVolatile: place.isVolatile ?? false,
            }),
          ),
        ready: () => askJetStream(urlOf(place)),
      }
    },
  }
}

async function container(machine: Machine) {
  if (!(await machine.docker.running())) return { not: 'no running Docker' }
  if (!(await machine.docker.obtain(image, machine.report))) return { not: `Docker could not fetch ${image}` }
  return {
    what: `${image} in Docker`,
    why: 'no nats-server on PATH',
    launch: (place: Place) => {
      const launch = containerLaunch({
        name: 'nats',
        folder: place.folder,
        image,
        ports: [[place.ports.nats, 4222]],
        volumes: [[place.folder, '/data']],
        command: ['--config', '/data/nats.conf'],
      })
      const isVolatile = place.isVolatile ?? false
      const config = configuration({ host: '0.0.0.0', port: 4222, store: '/data', version: '2.12.0', isVolatile })
      return {
        ...launch,
        prepare: async () => {
          await writeFile(join(place.folder, 'nats.conf'), config)
          await launch.prepare?.()
        },
        ready: () => askJetStream(urlOf(place)),
      }
    },
  }
}

/** With `sync_interval: always` an acknowledged message survives power loss; servers before 2.10 refuse the setting. */
function configuration(options: {
  host: string
  port: number
  store: string
  version: string
  isVolatile: boolean
}): string {
  const [major = 0, minor = 0] = options.version.split('.').map(Number)
  const syncs = !options.isVolatile && (major > 2 || (major === 2 && minor >= 10))
  return `server_name: im_dev
host: ${options.host}
port: ${options.port}
jetstream {
  store_dir: ${JSON.stringify(options.store)}
${syncs ? '  sync_interval: always\n' : ''}}
`
}

async function askJetStream(url: string): Promise<void> {
  const connection = await connect({
    servers: url.split(','),
    timeout: 3000,
    reconnect: false,
    maxReconnectAttempts: 0,
  })
  try {
    const manager = await jetstreamManager(connection, { timeout: 3000 })
    await manager.getAccountInfo()
  } finally {
    await connection.close()
  }
}
