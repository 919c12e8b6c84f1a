/** Starts a real Prosody with our configuration on free ports, and a small HTTP server that answers for the services. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

const configFile = fileURLToPath(new URL('../prosody/prosody.cfg.lua', import.meta.url))
const serviceKey = 'key-of-the-services'

export type Verdict = { allow: 0 | 1; condition?: string; text?: string }

/** What the user and message services say; tests change it while it runs. */
export type FakeServices = {
  url: string
  passwords: Map<string, string>
  /** Users beyond those with a password. */
  states: Map<string, { exists: 0 | 1; status: 1 | -1 }>
  check: (from: number, to: number, type: number, messageIds?: string[]) => Verdict
  /** How the services answer: properly, with HTTP 503, or after so many milliseconds. */
  mode: 'up' | 'down' | number
  calls: { path: string; body: Record<string, unknown> }[]
  close: () => Promise<void>
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString())
}

export async function startFakeServices(): Promise<FakeServices> {
  const services: FakeServices = {
    url: '',
    passwords: new Map(),
    states: new Map(),
    check: () => ({ allow: 1 }),
    mode: 'up',
    calls: [],
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  const answer = (path: string | undefined, body: Record<string, unknown>) => {
    const userId = String(body.userId)
    if (path === '/internal/xmpp/auth') {
      return services.passwords.get(userId) === body.password ? { resultCode: 1 } : { resultCode: 0 }
    }
    if (path === '/internal/xmpp/user') {
      const state = services.states.get(userId) ?? { exists: services.passwords.has(userId) ? 1 : 0, status: 1 }
      return { resultCode: 1, data: state }
    }
    if (path === '/internal/xmpp/check') {
      const messageIds = body.messageIds as string[] | undefined
      return { resultCode: 1, data: services.check(Number(body.from), Number(body.to), Number(body.type), messageIds) }
    }
    return { resultCode: 0 }
  }
  const server = createServer(async (request, response) => {
    const body = await readJson(request)
    services.calls.push({ path: request.url ?? '', body })
    if (typeof services.mode === 'number') await new Promise((resolve) => setTimeout(resolve, services.mode as number))
    if (services.mode === 'down' || request.headers['x-service-key'] !== serviceKey) {
      response.statusCode = 503
      response.end()
      return
    }
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(answer(request.url, body)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  services.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return services
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createTcpServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return ports
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

export class Prosody {
  readonly domain = 'im.test'
  readonly component = 'api.im.test'
  readonly secret = 'secret-of-the-component'
  readonly dataDir: string
  readonly port: number
  readonly httpPort: number
  readonly componentPort: number
  readonly services: FakeServices
  log = ''
  #process: ChildProcess | undefined
  #env: Record<string, string>

  constructor(dataDir: string, ports: number[], services: FakeServices, env: Record<string, string>) {
    this.dataDir = dataDir
    this.services = services
    this.#env = env
    ;[this.port, this.httpPort, this.componentPort] = ports as [number, number, number]
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** Starts the process with the given changes of its environment; the data of an earlier run is still there. */
  async start(env: Record<string, string> = {}): Promise<void> {
    this.#env = { ...this.#env, ...env }
    const child = spawn('prosody', ['-F', '--config', configFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        XMPP_DOMAIN: this.domain,
        XMPP_PORT: String(this.port),
        XMPP_HTTP_PORT: String(this.httpPort),
        XMPP_COMPONENT_PORT: String(this.componentPort),
        XMPP_COMPONENT_SECRET: this.secret,
        XMPP_DATA_DIR: this.dataDir,
        XMPP_TLS: 'off',
        USER_URL: this.services.url,
        MESSAGE_URL: this.services.url,
        SERVICE_KEY: serviceKey,
        LIMIT_FACTOR: '1000',
        ...this.#env,
      },
    })
    this.#process = child
    const note = (chunk: Buffer) => {
      this.log += chunk.toString()
    }
    child.stdout.on('data', note)
    child.stderr.on('data', note)
    for (let tries = 0; tries < 500; tries++) {
      if (child.exitCode !== null) break
      if ((await accepts(this.port)) && (await accepts(this.componentPort)) && (await accepts(this.httpPort))) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error(`Prosody did not start:\n${this.log}`)
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#process
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }
}

/** Prosody and the services it asks, on free ports in a temporary folder; both end with the test. */
export async function startProsody(t: Test, env: Record<string, string> = {}): Promise<Prosody> {
  const services = await startFakeServices()
  const dataDir = await mkdtemp(join(tmpdir(), 'xmpp-'))
  const prosody = new Prosody(dataDir, await freePorts(3), services, env)
  t.after(async () => {
    await prosody.end('SIGKILL')
    await services.close()
    await rm(dataDir, { recursive: true, force: true })
    const mistake = /.*(?:[Tt]raceback|Error in event handler)[\s\S]{0,2000}/.exec(prosody.log)
    if (mistake) throw new Error(`A module failed:\n${mistake[0]}`)
  })
  await prosody.start()
  return prosody
}
