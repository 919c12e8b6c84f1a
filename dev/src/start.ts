/** `npm start`: the whole stack on this machine. */
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Listr } from 'listr2'
import { repositoryRoot } from './machine/machine.ts'
import { stopLeftovers } from './machine/process-records.ts'
import { type Reporter, streamReporter } from './reporter.ts'
import { portSettings } from './servers/index.ts'
import { operationsPort, serviceNames, servicePort } from './services.ts'
import { portsFromEnvironment } from './settings.ts'
import { type Stack, startStack } from './stack.ts'

const help = `npm start -- [--processes] [--data <folder>] [--verbose]

Starts MongoDB, Redis, NATS, Prosody and all services, and keeps their data. Ctrl-C stops all of it; a second Ctrl-C does
not wait for anything.

  --processes        one process for each service, instead of one for all
  --data <folder>    where data, logs and secrets are kept (.data)
  --verbose          show what the services log (or set LOG_LEVEL; --processes: see <data>/logs)

Ports, by the environment:
${[...serviceNames.map(servicePort), operationsPort, ...Object.values(portSettings)]
  .map(({ port, purpose, setting }) => `  ${setting.padEnd(22)}${String(port).padEnd(7)}${purpose}`)
  .join('\n')}

Servers that run already: MONGODB_URL, REDIS_URL, NATS_URL, XMPP_COMPONENT_URL with XMPP_HOST.
Console administrator of the first start: CONSOLE_ADMIN_TELEPHONE, CONSOLE_ADMIN_PASSWORD.`

const { values: options } = parseArgs({
  options: {
    processes: { type: 'boolean', default: false },
    data: { type: 'string', default: '.data' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

const dataDir = resolve(repositoryRoot, options.data)

/** A task line of the list while the step runs; plain lines afterwards (a server that died and came back). */
async function step<T>(title: string, work: (report: Reporter) => Promise<T>): Promise<T> {
  let report = streamReporter(process.stdout)
  const current: Reporter = { info: (line) => report.info(line), progress: (line) => report.progress(line) }
  let result: T | undefined
  const task = {
    title,
    rendererOptions: { persistentOutput: true, outputBar: Number.POSITIVE_INFINITY },
    task: async (_: unknown, task: { output: string; title: string }) => {
      const show = (line: string) => {
        task.output = line
      }
      const plain = streamReporter({ write: (text) => show(text.trim()) })
      report = process.stdout.isTTY
        ? {
            info: show,
            progress: (line) => {
              task.title = `${title}: ${line}`
            },
          }
        : plain
      try {
        result = await work(current)
        task.title = title
      } finally {
        report = streamReporter(process.stdout)
      }
    },
  }
  await new Listr([task], { fallbackRenderer: 'simple', rendererOptions: { showErrorMessage: false } }).run()
  return result as T
}

/** Ends on the first Ctrl-C or SIGTERM, at once on the second. A terminal and npm may both deliver the same Ctrl-C. */
function endOnSignal(stack: () => Stack | undefined): void {
  let first = 0
  const end = async (why: string) => {
    if (first > 0) {
      if (Date.now() - first < 1000) return
      console.log('\nStopping at once')
      stack()?.killNow()
      process.exit(1)
    }
    first = Date.now()
    console.log(`\n${why}: stopping the services, then the servers; data stays in ${options.data}`)
    const running = stack()
    // Still starting: what runs already is written down.
    if (running) await running.close()
    else await stopLeftovers(join(dataDir, 'run'), { info() {}, progress() {} })
    process.exit(0)
  }
  process.on('SIGINT', () => void end('Ctrl-C'))
  process.on('SIGTERM', () => void end('SIGTERM'))
  process.on('SIGHUP', () => void end('the terminal was closed'))
  process.on('disconnect', () => void end('npm ended'))
}

function describe({ urls, env, secrets, servers }: Stack, seconds: string): string {
  const administrator = secrets.fresh.includes('CONSOLE_ADMIN_PASSWORD')
    ? `${env['CONSOLE_ADMIN_TELEPHONE']}, password ${secrets.values.CONSOLE_ADMIN_PASSWORD} (shown this once)`
    : `${env['CONSOLE_ADMIN_TELEPHONE']}, with the password of the first start`
  const http = env['XMPP_HTTP_URL']
  return `
Ready after ${seconds} s.

  API            ${urls.gateway}
  XMPP           ${env['XMPP_HOST']}:${env['XMPP_PORT']}, domain ${env['XMPP_DOMAIN']}
  BOSH           ${http}/http-bind
  WebSocket      ${http?.replace(/^http/, 'ws')}/xmpp-websocket
  services       ${Object.entries(urls)
    .filter(([name]) => name !== 'gateway')
    .map(([name, url]) => `${name} ${url}`)
    .join('   ')}
  servers        ${Object.values(servers.choices).join('\n                 ')}
  administrator  ${administrator}
  data           ${dataDir}

Try it:  curl ${urls.gateway}/config

Ctrl-C stops it; the data stays.`
}

async function main(): Promise<void> {
  let stack: Stack | undefined
  endOnSignal(() => stack)
  const began = Date.now()
  stack = await startStack({
    dataDir,
    ports: portsFromEnvironment(process.env),
    env: { LOG_LEVEL: options.verbose ? 'info' : 'warn', LOG_FORMAT: 'pretty', ...process.env },
    mode: options.processes ? 'processes' : 'in-process',
    step,
  })
  console.log(describe(stack, ((Date.now() - began) / 1000).toFixed(1)))
}

if (options.help) console.log(help)
else
  await main().catch((cause: unknown) => {
    console.error(`\n${cause instanceof Error ? cause.message : cause}`)
    process.exit(1)
  })
