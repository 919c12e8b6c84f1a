/** `npm start`: the whole stack on this machine. */
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Listr } from 'listr2'
import { repositoryRoot, thisMachine } from './machine/machine.ts'
import { type Reporter, streamReporter } from './reporter.ts'
import { portSettings } from './servers/index.ts'
import { startPrometheus } from './servers/prometheus.ts'
import { logPrinter } from './service-logs.ts'
import { operationsPort, prometheusPort, serviceNames, servicePort } from './services.ts'
import { portNumber, portsFromEnvironment } from './settings.ts'
import { type Stack, startStack } from './stack.ts'

const help = `npm start -- [--processes] [--xmpp <n>] [--message <n>] [--prometheus] [--data <folder>] [--verbose]

Starts MongoDB, Redis, NATS, Prosody and all services, and keeps their data. Ctrl-C stops all of it; a second Ctrl-C does
not wait for anything.

  --processes        one process for each service, instead of one for all
  --xmpp <n>         so many XMPP servers; the ports of each further one are ten higher
  --message <n>      so many replicas of the message service, the further ones in processes of their own
  --prometheus       a Prometheus that follows all of it, with our alert rules (PROMETHEUS_PORT)
  --data <folder>    where data, logs and secrets are kept (.data)
  --verbose          show all that the services log, not only warnings and errors; <data>/logs has everything
                     (LOG_LEVEL sets what they log)

Ports, by the environment:
${[...serviceNames.map(servicePort), operationsPort, prometheusPort, ...Object.values(portSettings)]
  .map(({ port, purpose, setting }) => `  ${setting.padEnd(22)}${String(port).padEnd(7)}${purpose}`)
  .join('\n')}

Servers that run already: MONGODB_URL, REDIS_URL, NATS_URL, XMPP_COMPONENT_URL with XMPP_HOST.
Console administrator of the first start: CONSOLE_ADMIN_TELEPHONE, CONSOLE_ADMIN_PASSWORD.`

const { values: options } = parseArgs({
  options: {
    processes: { type: 'boolean', default: false },
    xmpp: { type: 'string', default: '1' },
    message: { type: 'string', default: '1' },
    prometheus: { type: 'boolean', default: false },
    data: { type: 'string', default: '.data' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

const dataDir = resolve(repositoryRoot, options.data)

function count(option: 'xmpp' | 'message'): number {
  const number = Number(options[option])
  if (!Number.isInteger(number) || number < 1 || number > 9) throw new Error(`--${option} is a number from 1 to 9`)
  return number
}

/** A task line of the list while the step runs (plain lines where no terminal is), lines with the time afterwards. */
async function step<T>(title: string, work: (report: Reporter) => Promise<T>): Promise<T> {
  const later: Reporter = { info: (line) => console.log(timed(line)), progress() {} }
  let report = later
  const current: Reporter = { info: (line) => report.info(line), progress: (line) => report.progress(line) }
  let result: T | undefined
  const during = async (reporter: Reporter) => {
    report = reporter
    try {
      result = await work(current)
    } finally {
      report = later
    }
  }
  if (process.stdout.isTTY) {
    const task = {
      title,
      rendererOptions: { persistentOutput: true, outputBar: Number.POSITIVE_INFINITY },
      task: async (_: unknown, task: { output: string; title: string }) => {
        const info = (line: string) => {
          task.output = line
        }
        const progress = (line: string) => {
          task.title = `${title}: ${line}`
        }
        await during({ info, progress })
        task.title = title
      },
    }
    await new Listr([task], { rendererOptions: { showErrorMessage: false } }).run()
  } else {
    console.log(title)
    const indented = { write: (text: string) => process.stdout.write(`  ${text.trimStart()}`) }
    await during(streamReporter(indented))
  }
  return result as T
}

/** Lines after the start: a server that died and came back, a warning of a service. */
function timed(line: string): string {
  return `[${new Date().toLocaleTimeString('en-GB')}] ${line}`
}

/** What the end has to stop. */
type Running = Pick<Stack, 'close' | 'killNow'>

/** The stack, and the Prometheus that was asked for. */
async function withPrometheus(stack: Stack): Promise<Running & { stack: Stack; prometheus?: string }> {
  if (!options.prometheus) return { stack, close: () => stack.close(), killNow: () => stack.killNow() }
  try {
    const { url, close, killNow } = await step('Prometheus', (report) =>
      startPrometheus({
        machine: thisMachine(process.env, report),
        dataDir,
        port: portNumber(prometheusPort.setting, process.env[prometheusPort.setting] || String(prometheusPort.port)),
        targets: stack.metrics,
      }),
    )
    return {
      stack,
      prometheus: url,
      async close() {
        await close()
        await stack.close()
      },
      killNow() {
        killNow()
        stack.killNow()
      },
    }
  } catch (cause) {
    await stack.close()
    throw cause
  }
}

/** Ends on the first Ctrl-C or SIGTERM, at once on the second. A terminal and npm may both deliver the same Ctrl-C. */
function endOnSignal(starting: Promise<Running>, abort: AbortController): void {
  let stack: Running | undefined
  starting.then(
    (started) => {
      stack = started
    },
    () => {},
  )
  let first = 0
  const end = async (why: string) => {
    if (first > 0) {
      if (Date.now() - first < 1000) return
      console.log('\nStopping at once')
      stack?.killNow()
      process.exit(1)
    }
    first = Date.now()
    console.log(`\n${why}: stopping the services, then the servers; data stays in ${options.data}`)
    if (!stack) abort.abort()
    await starting.then(
      (running) => running.close(),
      () => {},
    )
    process.exit(0)
  }
  process.on('SIGINT', () => void end('Ctrl-C'))
  process.on('SIGTERM', () => void end('SIGTERM'))
  process.on('SIGHUP', () => void end('the terminal was closed'))
  // Whoever started us may be gone sooner than we are.
  process.on('disconnect', () => {
    if (first === 0) void end('npm ended')
  })
}

function describe({ urls, env, secrets }: Stack, seconds: string, prometheus?: string): string {
  const password = secrets.passwordIsNew
    ? `password ${secrets.values.CONSOLE_ADMIN_PASSWORD} (shown this once)`
    : process.env['CONSOLE_ADMIN_PASSWORD']
      ? 'with the CONSOLE_ADMIN_PASSWORD of the start that made the account'
      : 'with the password that was shown at the first start'
  const [http] = env['XMPP_HTTP_URL']?.split(',') ?? []
  return `
Ready after ${seconds} s.

  API            ${urls.gateway}
  API page       ${urls.gateway}/docs
  XMPP           ${env['XMPP_HOST']}:${env['XMPP_PORTS'] ?? env['XMPP_PORT']}, domain ${env['XMPP_DOMAIN']}
  BOSH           ${http}/http-bind
  WebSocket      ${http?.replace(/^http/, 'ws')}/xmpp-websocket
  services       ${Object.entries(urls)
    .filter(([name]) => name !== 'gateway')
    .map(([name, url]) => `${name} ${url}`)
    .join('   ')}
  administrator  ${env['CONSOLE_ADMIN_TELEPHONE']}, ${password}
  data           ${dataDir}
  logs           ${join(dataDir, 'logs')}${prometheus ? `\n  Prometheus     ${prometheus}` : ''}

Try it:  curl ${urls.gateway}/config

Ctrl-C stops it; the data stays.`
}

async function main(): Promise<void> {
  const began = Date.now()
  const write = (text: string) => void process.stdout.write(text)
  const print = logPrinter({ verbose: options.verbose, colors: process.stdout.isTTY, write })
  const abort = new AbortController()
  let isUp = false
  const starting = startStack({
    dataDir,
    ports: portsFromEnvironment(process.env),
    env: process.env,
    ...(options.processes ? { apart: 'all' as const } : {}),
    isFrugal: !options.processes,
    xmppServers: count('xmpp'),
    replicas: { message: count('message') },
    onServiceLog: (line) => {
      // Until then the steps are on the screen, and a start that fails says why by itself.
      if (isUp || options.verbose) print(line)
    },
    step,
    abort: abort.signal,
  }).then(withPrometheus)
  endOnSignal(starting, abort)
  try {
    const { stack, prometheus } = await starting
    isUp = true
    console.log(describe(stack, ((Date.now() - began) / 1000).toFixed(1), prometheus))
    if (stack.secrets.passwordIsNew) await stack.secrets.passwordWasShown()
  } catch (cause) {
    // Whoever aborted the start has said so already.
    if (!abort.signal.aborted) throw cause
  }
}

if (options.help) console.log(help)
else
  await main().catch((cause: unknown) => {
    console.error(`\n${cause instanceof Error ? cause.message : cause}`)
    process.exit(1)
  })
