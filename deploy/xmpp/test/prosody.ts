/** Starts a real Prosody with our configuration on free ports, and a small HTTP server that answers for the user service. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eventually, within } from './eventually.ts'

const configFile = fileURLToPath(new URL('../prosody/prosody.cfg.lua', import.meta.url))
const serviceKey = 'key-of-the-services'

/** What a test gives to end things with. */
export type TestContext = { teardown: (end: () => unknown) => void }

/** The md5 the accounts of tests have as password. */
export const passwordOf = (user: string) => user.padStart(32, '0')

/** The user service: every id is a user whose password is passwordOf(id); tests change it while it runs. */
export interface UserService {
  url: string
  /** How it answers: properly, with HTTP 503, with an error of its own, after so many milliseconds, or never. */
  mode: 'up' | 'down' | 'hanging' | { resultCode: number } | number
  /** Access tokens by user; what a login with one answers is `{ session }`. */
  tokens: Map<string, { token: string; session: string }>
  calls: Record<string, unknown>[]
  close: () => Promise<void>
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString())
}

export async function startUserService(): Promise<UserService> {
  const service: UserService = {
    url: '',
    mode: 'up',
    tokens: new Map(),
    calls: [],
    close: async () => {
      server.closeAllConnections()
      server.close()
      await within(once(server, 'close'), 'the user service ends')
    },
  }
  const answer = (user: string, password: unknown) => {
    const token = service.tokens.get(user)
    if (token && token.token === password) return { resultCode: 1, data: { session: token.session } }
    if (password === passwordOf(user)) return { resultCode: 1, data: { passwordVersion: 1 } }
    return { resultCode: 1040102 }
  }
  const server = createServer(async (request, response) => {
    const body = await readJson(request)
    service.calls.push(body)
    if (service.mode === 'hanging') return
    if (typeof service.mode === 'number') await new Promise((resolve) => setTimeout(resolve, service.mode as number))
    const isKnown = request.url === '/internal/xmpp/auth' && request.headers['x-service-key'] === serviceKey
    if (service.mode === 'down' || !isKnown) response.statusCode = 503
    response.setHeader('Content-Type', 'application/json')
    if (typeof service.mode === 'object') return response.end(JSON.stringify(service.mode))
    response.end(JSON.stringify(answer(String(body['userId']), body['password'])))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  service.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return service
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createTcpServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return ports
}

/** Throws when nothing listens. */
async function connectTo(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect').finally(() => socket.destroy())
}

export class Prosody {
  readonly domain = 'im.test'
  readonly component = 'api.im.test'
  readonly rooms = 'muc.im.test'
  readonly secret = 'secret-of-the-component'
  readonly dataDir: string
  readonly port: number
  readonly httpPort: number
  readonly componentPort: number
  readonly users: UserService
  configFile = configFile
  log = ''
  #process: ChildProcess | undefined
  #env: Record<string, string>

  constructor(dataDir: string, ports: number[], users: UserService, env: Record<string, string>) {
    this.dataDir = dataDir
    this.users = users
    this.#env = env
    ;[this.port, this.httpPort, this.componentPort] = ports as [number, number, number]
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  /** Starts the process with the given changes of its environment; the data of an earlier run is still there. */
  async start(env: Record<string, string> = {}): Promise<void> {
    this.#env = { ...this.#env, ...env }
    const child = this.launch()
    const isUp = async () => {
      if (child.exitCode !== null) return 'no'
      await Promise.all([this.port, this.componentPort, this.httpPort].map(connectTo))
      // It listens before it does anything else: until it answers, SIGTERM would end it like SIGKILL.
      return (await this.#metrics()) && 'yes'
    }
    const answer = await eventually(isUp, 30_000).catch(String)
    if (answer !== 'yes') throw new Error(`Prosody did not start (${answer}):\n${this.log}`)
  }

  launch(): ChildProcess {
    // A write over a limit of the size of files fails, as on a full disk; by default it would end the process.
    const child = spawn('sh', ['-c', 'trap "" XFSZ; exec prosody -F --config "$0"', this.configFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        XMPP_DOMAIN: this.domain,
        XMPP_PORT: String(this.port),
        XMPP_HTTP_PORT: String(this.httpPort),
        XMPP_COMPONENT_PORT: String(this.componentPort),
        XMPP_COMPONENT_SECRET: this.secret,
        XMPP_DATA_DIR: this.dataDir,
        XMPP_TLS: 'off',
        USER_URL: this.users.url,
        SERVICE_KEY: serviceKey,
        LIMIT_FACTOR: '0',
        ...this.#env,
      },
    })
    this.#process = child
    const note = (chunk: Buffer) => {
      this.log += chunk.toString()
    }
    child.stdout.on('data', note)
    child.stderr.on('data', note)
    return child
  }

  signal(name: NodeJS.Signals): void {
    this.#process?.kill(name)
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#process
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGCONT')
    child.kill(signal)
    await within(once(child, 'exit'), `the end by ${signal}`, 30_000)
  }

  /** Milliseconds of CPU the process has used. */
  cpu(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10
  }

  /** Resident bytes of the process. */
  memory(): number {
    return Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))![1]) * 1024
  }

  /** Bytes that Lua still needs, after all garbage was collected (mod_test_heap). */
  async heap(): Promise<number> {
    const signal = AbortSignal.timeout(10_000)
    return Number(await (await fetch(`http://127.0.0.1:${this.httpPort}/test_heap`, { signal })).text())
  }

  async #metrics(): Promise<string> {
    const signal = AbortSignal.timeout(10_000)
    return (await fetch(`http://127.0.0.1:${this.httpPort}/metrics`, { signal })).text()
  }

  async metric(name: string): Promise<number> {
    const text = await this.#metrics()
    return Number(new RegExp(`^\\S*_${name}(?:\\{\\S*\\})? (\\S+)$`, 'm').exec(text)?.[1])
  }
}

const here = fileURLToPath(new URL('.', import.meta.url))

/** Our configuration and a module of the tests. */
async function configWith(module: string, folder: string): Promise<string> {
  const file = join(folder, 'test.cfg.lua')
  const paths = `plugin_paths = { "${join(here, '../prosody/modules')}", "${join(here, 'lua')}" }`
  await writeFile(
    file,
    `Include "${configFile}"\nComponent "test.im.test" "${module}"\nhttp_host = "im.test"\nVirtualHost "*"\n${paths}\n`,
  )
  return file
}

/** Prosody and the user service it asks, on free ports in a temporary folder; all of it ends with the test. */
export async function startProsody(
  t: TestContext,
  env: Record<string, string> = {},
  folder?: string,
  module?: string,
): Promise<Prosody> {
  const users = await startUserService()
  const dataDir = folder ?? (await mkdtemp(join(tmpdir(), 'xmpp-')))
  const prosody = new Prosody(dataDir, await freePorts(3), users, env)
  if (module) prosody.configFile = await configWith(module, dataDir)
  t.teardown(async () => {
    await prosody.end('SIGKILL')
    await users.close()
    await rm(dataDir, { recursive: true, force: true })
    const mistake =
      /.*(?:[Tt]raceback|Error in event handler|After a commit|Error in timer|Error calling)[\s\S]{0,2000}/.exec(
        prosody.log,
      )
    if (mistake) throw new Error(`A module failed:\n${mistake[0]}`)
  })
  await prosody.start()
  return prosody
}
