import { connect } from 'node:net'
import { join } from 'node:path'
import { execa } from 'execa'
import { containerLaunch, onHostNetwork, seenFromContainer } from '../machine/docker.ts'
import { type Machine, repositoryRoot } from '../machine/machine.ts'
import { findOrInstall, firstWay, type Place, type Server } from './server.ts'

const title = 'Prosody'
const home = join(repositoryRoot, 'deploy/xmpp')
const dockerfile = join(repositoryRoot, 'deploy/docker/xmpp.Dockerfile')
const image = 'yingchuang-im/xmpp:dev'
const everyInterface = { XMPP_INTERFACES: '0.0.0.0', XMPP_COMPONENT_INTERFACES: '0.0.0.0' }

const install = `Install it:
  Debian 12, Ubuntu 24.04:  sudo apt-get install prosody
  macOS:                    brew tap prosody/prosody && brew install prosody
  Windows:                  use WSL, then as on Ubuntu
  or start Docker, or set XMPP_HOST and XMPP_COMPONENT_URL to a server that runs with the modules of deploy/xmpp.`

export const prosody: Server = {
  name: 'prosody',
  title,
  ports: ['xmpp', 'xmppHttp', 'xmppComponent'],
  env: ({ ports, env }) => {
    const domain = env['XMPP_DOMAIN'] || 'im.localhost'
    return {
      XMPP_DOMAIN: domain,
      XMPP_HOST: env['XMPP_HOST'] || '127.0.0.1',
      XMPP_PORT: String(ports.xmpp),
      XMPP_HTTP_PORT: String(ports.xmppHttp),
      XMPP_HTTP_URL: `http://127.0.0.1:${ports.xmppHttp}`,
      XMPP_COMPONENT: env['XMPP_COMPONENT'] || `api.${domain}`,
      XMPP_COMPONENT_PORT: String(ports.xmppComponent),
      XMPP_COMPONENT_URL: `xmpp://127.0.0.1:${ports.xmppComponent}`,
    }
  },
  choose: (machine) =>
    firstWay(title, [() => given(machine), () => installed(machine), () => container(machine)], install),
}

async function given({ env }: Machine) {
  const url = env['XMPP_COMPONENT_URL']
  const host = env['XMPP_HOST']
  if (!url || !host) return { not: 'XMPP_COMPONENT_URL and XMPP_HOST are not both set' }
  if (!URL.canParse(url)) throw new Error(`XMPP_COMPONENT_URL=${url} is not an address such as xmpp://127.0.0.1:5347`)
  const { hostname, port } = new URL(url)
  await accepts(Number(port) || 5347, hostname).catch((cause) => {
    throw new Error(`XMPP_COMPONENT_URL is set, but nothing accepts connections there: ${(cause as Error).message}`)
  })
  const names = Object.keys(env).filter((name) => name.startsWith('XMPP_') && env[name])
  const values = Object.fromEntries(names.map((name) => [name, String(env[name])]))
  return { what: 'the one of XMPP_COMPONENT_URL', why: 'the environment names it', given: values }
}

async function installed(machine: Machine) {
  // openssl makes the certificate of a first start.
  const found = await findOrInstall(machine, 'prosody', ['prosody', 'openssl'])
  if ('not' in found) return found
  const control = await machine.find('prosodyctl')
  const about = control ? (await execa(control, ['about'], { reject: false, timeout: 5000 })).stdout : ''
  return {
    what: `${/Prosody (\d\S*)/.exec(about ?? '')?.[1] ?? ''} (${found.path})`,
    why: found.why,
    launch: (place: Place) => ({
      file: found.path,
      args: ['-F', '--config', join(home, 'prosody/prosody.cfg.lua')],
      cwd: place.folder,
      env: environment(place),
      ready: () => ready(place),
      reason: refusal,
    }),
  }
}

/** Why the configuration refuses to start. */
const refusal = (log: string) => /^Error: (.*)/m.exec(log)?.[1]

async function container(machine: Machine) {
  if (!(await machine.docker.running())) return { not: 'no running Docker' }
  await machine.docker.build({ tag: image, context: repositoryRoot, dockerfile }, machine.report)
  return {
    what: `${image} in Docker`,
    why: 'no prosody on PATH',
    launch: (place: Place) => {
      const { ports } = place
      const env = environment(place)
      const names = Object.keys(env).filter(
        (name) => /^XMPP_|_URL$|^SERVICE_KEY$|^LIMIT_FACTOR$/.test(name) && env[name],
      )
      const values = Object.fromEntries(names.map((name) => [name, seenFromContainer(String(env[name]))]))
      return {
        ...containerLaunch({
          name: 'prosody',
          folder: place.folder,
          image,
          ports: [ports.xmpp, ports.xmppHttp, ports.xmppComponent].map((port) => [port, port]),
          volumes: [[place.folder, '/data']],
          env: { ...values, ...(onHostNetwork ? {} : everyInterface), XMPP_DATA_DIR: '/data' },
          reachHost: true,
        }),
        ready: () => ready(place),
        reason: refusal,
      }
    },
  }
}

function environment(place: Place): NodeJS.ProcessEnv {
  return {
    ...place.env,
    ...prosody.env(place),
    XMPP_DATA_DIR: place.folder,
  }
}

async function ready({ ports }: Place): Promise<void> {
  for (const port of [ports.xmpp, ports.xmppHttp, ports.xmppComponent]) await accepts(port)
}

function accepts(port: number, host = '127.0.0.1'): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host, timeout: 3000 })
    const fail = (cause: Error) => {
      socket.destroy()
      reject(cause)
    }
    socket.once('error', fail)
    socket.once('timeout', () => fail(new Error(`no answer from ${host}:${port}`)))
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
  })
}
