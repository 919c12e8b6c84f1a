import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '@im/service-kit/testing'
import tap, { type Test, test } from 'tap'
import { repositoryRoot } from '../src/machine/machine.ts'
import { freePort, isFree } from '../src/machine/ports.ts'
import { processIdentity } from '../src/machine/process-records.ts'
import { portSettings, withoutGivenServers } from '../src/servers/index.ts'
import { operationsPort, serviceNames, servicePort } from '../src/services.ts'
import { temporaryFolder } from './fake-machine.ts'

/** The command that `npm start` runs, as a child: what it prints, and how it ends. */
class NpmStart {
  readonly #child: ChildProcess
  readonly #began = Date.now()
  output = ''

  /** `like` npm: passes a signal on and is gone before the stack is. */
  constructor(env: NodeJS.ProcessEnv, args: string[], like?: 'npm') {
    const command = [join(repositoryRoot, 'dev/bootstrap.mjs'), 'start', ...args]
    const parent = `const child = require('node:child_process').spawn(process.execPath, process.argv.slice(1), { stdio: 'inherit' })
      process.on('SIGTERM', () => { child.kill('SIGTERM'); process.exit(143) })`
    const stdio = ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe']
    this.#child = spawn(process.execPath, like ? ['-e', parent, ...command] : command, { env, stdio })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text) => {
        this.output += text
      })
  }

  /** Waits until it has printed this. */
  async prints(pattern: RegExp, deadlineMs = 30_000): Promise<RegExpExecArray> {
    return eventually(() => {
      const found = pattern.exec(this.output)
      if (!found && this.#child.exitCode !== null) throw new Error(`it ended without ${pattern}:\n${this.output}`)
      if (!found) throw new Error(`no ${pattern} in:\n${this.output}`)
      return found
    }, deadlineMs)
  }

  /** Seconds from the command to the addresses. */
  async ready(): Promise<number> {
    await this.prints(/Ready after/, 60_000)
    return (Date.now() - this.#began) / 1000
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** The exit code. */
  async end(signal?: NodeJS.Signals): Promise<number | null> {
    if (signal) this.signal(signal)
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit')
    return this.#child.exitCode
  }
}

/** Ports and a data folder of a test's own, and what is left of it. */
async function place(t: Test) {
  const folder = await temporaryFolder(t)
  const dataDir = join(folder, 'data')
  const mark = randomBytes(8).toString('hex')
  const settings = [...Object.values(portSettings), ...serviceNames.map(servicePort), operationsPort]
  const ports = Object.fromEntries(
    await Promise.all(settings.map(async ({ setting }) => [setting, await freePort()] as const)),
  )
  const { PORT: _, LOG_LEVEL: _l, ...inherited } = withoutGivenServers(process.env)
  const env: NodeJS.ProcessEnv = { ...inherited, ...ports, IM_START_TEST: mark, LIMIT_FACTOR: '0' }

  const pidOf = async (name: string) =>
    (JSON.parse(await readFile(join(dataDir, 'run', `${name}.json`), 'utf8')) as { pid: number }).pid
  /** Every process that was started with this environment, however deep. */
  const running = async () => {
    if (process.platform !== 'linux') return []
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
    const marked = await Promise.all(
      pids.map(async (pid) => (await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')).includes(mark)),
    )
    const own = pids.filter((_pid, index) => marked[index]).map(Number)
    const alive = await Promise.all(own.map(processIdentity))
    return own.filter((_pid, index) => alive[index])
  }
  const leavesNothing = async () => {
    t.strictSame(await running(), [], 'processes')
    // Where processes can't be told by their environment. Here a port may be another test's by now.
    if (process.platform !== 'linux')
      for (const [setting, port] of Object.entries(ports)) t.ok(await isFree(port), `${setting} ${port} is free`)
    t.strictSame(await readdir(join(dataDir, 'run')).catch(() => []), [], 'records')
  }
  const startLike = (like: 'npm' | undefined, extra: NodeJS.ProcessEnv = {}, ...args: string[]) => {
    const run = new NpmStart({ ...env, ...extra }, ['--data', dataDir, ...args], like)
    t.after(async () => {
      await run.end('SIGTERM')
    })
    return run
  }
  const start = (extra: NodeJS.ProcessEnv = {}, ...args: string[]) => startLike(undefined, extra, ...args)
  return {
    dataDir,
    running,
    startLike,
    ports,
    api: `http://127.0.0.1:${ports['GATEWAY_PORT']}`,
    pidOf,
    leavesNothing,
    start,
  }
}

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

/** As an app posts a form; throws what the server says. */
async function post(api: string, path: string, form: Record<string, string>): Promise<Record<string, unknown>> {
  const response = await fetch(api + path, {
    ...{ method: 'POST', body: new URLSearchParams(form), signal: AbortSignal.timeout(5000) },
  })
  const answer = (await response.json()) as { resultCode: number; resultMsg?: string; data: Record<string, unknown> }
  if (answer.resultCode !== 1) throw new Error(`${path}: ${JSON.stringify(answer)}`)
  return answer.data
}

const register = (api: string, telephone: string) =>
  post(api, '/user/register', { telephone, password: md5('secret'), nickname: 'alice', deviceKey: 'android' })
const logIn = (api: string, telephone: string, password: string) =>
  post(api, '/user/login', { telephone, password: md5(password), deviceKey: 'android' })

// Each has a place of its own, and mostly waits.
tap.jobs = 3

test('npm start: first start, deaths, Ctrl-C, second start with the data', { timeout: 180_000 }, async (t) => {
  const { dataDir, api, ports, pidOf, running, leavesNothing, start, startLike } = await place(t)
  const failed = start({ LOG_LEVEL: 'loud' })
  t.equal(await failed.end(), 1)
  t.match(failed.output.split('\n\n').at(-1), /^LOG_LEVEL must be one of [^\n]*\n*$/)
  const first = start()
  await first.ready()
  const [, address = ''] = await first.prints(/Try it: {2}curl (\S+)/)
  const config = (await (await fetch(address)).json()) as { resultCode: number }
  t.equal(config.resultCode, 1)
  const [, password = ''] = await first.prints(/administrator {2}admin, password (\S+) \(shown this once\)/)
  await logIn(api, 'admin', password)
  await register(api, '13800000000')

  let telephone = 13_800_000_000
  for (const [name, title] of [
    ['services', 'The process of the services'],
    ['redis', 'Redis'],
    ['nats', 'NATS'],
    ['prosody', 'Prosody'],
    ['mongodb', 'MongoDB'],
  ] as const)
    await t.test(`kill -9 of ${name}: a line says so, and the API works again`, async (t) => {
      process.kill(await pidOf(name), 'SIGKILL')
      await first.prints(new RegExp(`${title} was killed \\(SIGKILL, 9\\); starting it again`))
      await first.prints(new RegExp(`${title} is back \\(pid \\d+\\)`))
      await t.resolves(
        eventually(() => logIn(api, '13800000000', 'secret'), 30_000),
        'logs in',
      )
      await t.resolves(
        eventually(() => register(api, String(++telephone)), 30_000),
        'registers',
      )
    })

  t.equal(await first.end('SIGINT'), 0, first.output)
  await leavesNothing()

  const second = startLike('npm', {}, '--processes')
  const seconds = await second.ready()
  t.ok(seconds < 20, `ready after ${seconds} s`)
  t.match(second.output, /with the password that was shown at the first start/)
  t.ok(!second.output.includes(password))
  await logIn(api, 'admin', password)
  await logIn(api, '13800000000', 'secret')

  process.kill(await pidOf('user'), 'SIGKILL')
  await second.prints(/The user service was killed \(SIGKILL, 9\); starting it again/)
  await second.prints(/The user service is back/)
  await eventually(() => logIn(api, '13800000000', 'secret'), 30_000)

  const again = start()
  t.equal(await again.end(), 1)
  t.match(again.output, new RegExp(`${dataDir} is in use by another run \\(pid \\d+\\)\\. Stop it first, or `))
  await logIn(api, '13800000000', 'secret')

  await t.test('a taken port is one line that names it and its setting', async (t) => {
    const other = await place(t)
    const refused = other.start({ GATEWAY_PORT: String(ports['GATEWAY_PORT']) })
    t.equal(await refused.end(), 1)
    const complaints = refused.output.split('\n').filter((line) => line.includes('is taken'))
    t.equal(complaints.length, 1, refused.output)
    t.match(
      complaints[0] ?? '',
      new RegExp(
        `^Port ${ports['GATEWAY_PORT']} \\(the gateway service\\) is taken by node run-services\\.ts \\(pid \\d+\\)\\. .*GATEWAY_PORT=`,
      ),
    )
    await other.leavesNothing()
  })

  await second.end('SIGTERM')
  t.equal(await eventually(async () => (await running()).length === 0, 30_000), true)
  t.notMatch(second.output, /Stopping at once/, 'services finish their work although npm is gone')
  await leavesNothing()
})

test('Ctrl-C during the start ends it, with nothing left', async (t) => {
  const { dataDir, leavesNothing, start } = await place(t)
  const run = start()
  // The first server is up.
  await eventually(async () => (await readdir(join(dataDir, 'run'))).length > 2, 20_000)
  t.equal(await run.end('SIGINT'), 0, run.output)
  t.notMatch(run.output, /was killed|exit code/)
  await leavesNothing()
})

test('what stops the start is one line each, the exit code is 1, and nothing is left', async (t) => {
  t.jobs = 3
  const starts = [
    [{ MONGODB_URL: 'mongodb://127.0.0.1:9/' }, /^MONGODB_URL is set, but no MongoDB answers there: .*ECONNREFUSED/],
    [{ MONGODB_URL: '127.0.0.1' }, /^MONGODB_URL is set, but that MongoDB can't be used: .*mongodb:\/\//],
    [{ SMS_PROVIDER: 'pigeon', LOG_LEVEL: 'loud' }, /^LOG_LEVEL must be .*\nSMS_PROVIDER must be one of /],
    [{ REDIS_PORT: 'x' }, /^REDIS_PORT=x is not a port number/],
    [{ OPERATIONS_PORT: 'x' }, /^OPERATIONS_PORT=x is not a port number/],
  ] as [NodeJS.ProcessEnv, RegExp][]
  for (const [extra, line] of starts)
    t.test(Object.keys(extra).join(), async (t) => {
      const { start, leavesNothing, dataDir } = await place(t)
      await mkdir(dataDir, { recursive: true })
      const run = start(extra)
      t.equal(await run.end(), 1, run.output)
      const last = run.output.split('\n\n').at(-1)?.trim() ?? ''
      t.match(last, line)
      t.ok(last.split('\n').length <= 2, last)
      await leavesNothing()
    })
})
