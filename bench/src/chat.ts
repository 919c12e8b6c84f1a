/** Load on 1:1 chat that also judges correctness; see ../README.md. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type ArchiveCheck, archiveFaults } from './chat/archive-check.ts'
import { faultsOf, type Plan, type Round, runRound } from './chat/rounds.ts'
import { type Setup, type SetupOptions, startDouble, startFull, startTapAlone } from './chat/setups.ts'
import { Traffic } from './chat/traffic.ts'
import { XmppClient } from './chat/xmpp-client.ts'
import { machine } from './machine.ts'
import { median } from './percentiles.ts'
import { cpuSeconds } from './process-usage.ts'

const usage = `npm run bench:chat -- [options]

  --setups LIST      of tap-alone, full, double                            (tap-alone,full)
  --rounds N         rounds of each load on each setup, interleaved        (3)
  --seconds N        length of a round                                     (8)
  --in-flight N      messages on their way in a closed-loop round; 0: none (500)
  --rate N           messages a second in an open-loop round; 0: none      (2000)
  --max-messages N   bound of a round                                      (200000)
  --pairs N          pairs of clients                                      (32)
  --data FOLDER      where the servers keep their data     (a new one in ${tmpdir()}, removed at the end)
  --json FILE        also write everything as JSON
  --node-options=O   NODE_OPTIONS of the services, e.g. '--cpu-prof --cpu-prof-dir=/tmp/profile'

Exit code 1 when a message was lost, delivered or stored twice, altered, out of order or not receipted.`

const { values } = parseArgs({
  options: {
    setups: { type: 'string', default: 'tap-alone,full' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '8' },
    'in-flight': { type: 'string', default: '500' },
    rate: { type: 'string', default: '2000' },
    'max-messages': { type: 'string', default: '200000' },
    pairs: { type: 'string', default: '32' },
    data: { type: 'string' },
    json: { type: 'string' },
    'node-options': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const starters: Record<string, (options: SetupOptions) => Promise<Setup>> = {
  'tap-alone': startTapAlone,
  full: startFull,
  double: startDouble,
}

interface Result extends Omit<Round, 'messages'> {
  setup: string
  plan: Plan
  archive?: ArchiveCheck
  /** CPU seconds of each process per 1,000 messages. */
  cpuPerThousand: Record<string, number>
  faults: string[]
}

async function main(): Promise<number> {
  const pairs = Number(values.pairs)
  const plans = plansOf()
  const dataDir = values.data ?? (await mkdtemp(join(tmpdir(), 'im-bench-chat-')))
  const setups: Setup[] = []
  const clients: XmppClient[] = []
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= (async () => {
      for (const client of clients) client.close()
      await Promise.all(setups.map((setup) => setup.close()))
      if (!values.data) await rm(dataDir, { recursive: true, force: true })
    })()
    return closing
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void close().finally(() => process.exit(130)))

  try {
    for (const name of values.setups.split(',')) {
      const start = starters[name]
      if (!start) throw new Error(`There is no setup '${name}'`)
      const report = (line: string) => console.error(`${name}: ${line}`)
      const nodeOptions = values['node-options']
      setups.push(await start({ dataDir: join(dataDir, name), users: 2 * pairs, report, nodeOptions }))
    }
    const loads: { setup: Setup; traffic: Traffic }[] = []
    for (const setup of setups) {
      const logins = setup.accounts.map((account, index) => login(setup, account, index))
      const own = await Promise.all(logins)
      clients.push(...own)
      const couples = Array.from({ length: pairs }, (_, index) => [own[2 * index]!, own[2 * index + 1]!] as const)
      loads.push({ setup, traffic: new Traffic(couples, setup.addresses[0]!.domain) })
    }

    const results: Result[] = []
    for (let round = 0; round <= Number(values.rounds); round++) {
      for (const plan of plans) {
        for (const { setup, traffic } of loads) {
          const warmUp = round === 0
          const result = await measure(setup, traffic, warmUp ? { ...plan, seconds: Math.min(2, plan.seconds) } : plan)
          console.log(lineOf(warmUp ? 'warm-up' : `round ${round}`, result))
          if (warmUp && !result.faults.length) continue
          results.push(result)
        }
      }
    }
    const summary = summarise(results, plans)
    for (const line of summary.lines) console.log(line)
    if (values.json) {
      const servers = Object.fromEntries(setups.map((setup) => [setup.name, setup.servers]))
      const report = { at: new Date().toISOString(), machine: machine(), servers, pairs, summary, rounds: results }
      await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`)
    }
    return results.some((result) => result.faults.length) ? 1 : 0
  } finally {
    await close()
  }
}

function plansOf(): Plan[] {
  const bounds = { seconds: Number(values.seconds), maxMessages: Number(values['max-messages']) }
  const plans: Plan[] = []
  if (Number(values['in-flight']) > 0) plans.push({ kind: 'closed', inFlight: Number(values['in-flight']), ...bounds })
  if (Number(values.rate) > 0) plans.push({ kind: 'open', perSecond: Number(values.rate), ...bounds })
  return plans
}

function login(setup: Setup, account: Setup['accounts'][number], index: number): Promise<XmppClient> {
  // Of two servers each has half of the senders, and half of the pairs are on both.
  const pair = index >> 1
  const server = index % 2 ? pair + (pair >> 1) : pair
  const address = setup.addresses[server % setup.addresses.length]!
  return XmppClient.login(address, account, index % 2 ? 'ios' : 'android')
}

async function measure(setup: Setup, traffic: Traffic, plan: Plan): Promise<Result> {
  const processes = { ...setup.processes(), load: process.pid }
  const before = await Promise.all(Object.values(processes).map(cpuSeconds))
  const { messages, ...round } = await runRound(traffic, plan)
  const after = await Promise.all(Object.values(processes).map(cpuSeconds))
  const archive = await setup.checkArchive?.(messages)
  const used = Object.keys(processes).map((name, index) => {
    const seconds = (after[index] ?? 0) - (before[index] ?? 0)
    return [name, Math.round((seconds * 1e6) / Math.max(1, round.sent)) / 1000] as const
  })
  return {
    setup: setup.name,
    plan,
    ...round,
    archive,
    cpuPerThousand: Object.fromEntries(used),
    faults: [...faultsOf({ ...round, messages }), ...(archive ? archiveFaults(archive) : [])],
  }
}

const planText = (plan: Plan) => (plan.kind === 'closed' ? `${plan.inFlight} in flight` : `${plan.perSecond}/s`)

function lineOf(title: string, { setup, plan, faults, ...result }: Result): string {
  const { receipt, delivery, archive } = result
  const cpu = Object.entries(result.cpuPerThousand).filter(([, seconds]) => seconds >= 0.005)
  return [
    `${title.padEnd(8)} ${setup.padEnd(17)} ${planText(plan).padEnd(14)}`,
    `${result.messagesPerSecond} msg/s`.padStart(11),
    ` deliver p50/p95/p99 ${delivery.p50}/${delivery.p95}/${delivery.p99} ms`,
    ` receipt ${receipt.p50}/${receipt.p95}/${receipt.p99} ms`,
    ` ${result.sent} sent${archive ? `, ${archive.checked - archive.missing} stored` : ''}`,
    ` CPU s/1000: ${cpu.map(([name, seconds]) => `${name} ${seconds}`).join(' ')}`,
    faults.length ? `\n  WRONG: ${faults.join('; ')}` : '',
  ].join('')
}

/** CPU seconds of the whole stack, without the load, for 1,000 messages. */
const stackCpu = ({ load: _load, ...processes }: Record<string, number>) =>
  Object.values(processes).reduce((sum, seconds) => sum + seconds, 0)

/** Medians over the rounds of each setup and load, and how the whole stack compares with the tap alone. */
function summarise(results: readonly Result[], plans: readonly Plan[]) {
  const rows = plans.flatMap((plan) =>
    values.setups.split(',').map((setup) => {
      const own = results.filter((result) => result.setup === setup && planText(result.plan) === planText(plan))
      const middle = (pick: (result: Result) => number) => median(own.map(pick))
      return {
        setup,
        load: planText(plan),
        messagesPerSecond: middle((result) => result.messagesPerSecond),
        deliveryP99: middle((result) => result.delivery.p99),
        receiptP50: middle((result) => result.receipt.p50),
        receiptP95: middle((result) => result.receipt.p95),
        receiptP99: middle((result) => result.receipt.p99),
        cpu: middle((result) => stackCpu(result.cpuPerThousand)),
        faults: own.flatMap((result) => result.faults),
      }
    }),
  )
  const lines = rows.map(
    (row) =>
      `median   ${row.setup.padEnd(17)} ${row.load.padEnd(14)}${`${row.messagesPerSecond} msg/s`.padStart(11)}` +
      `  receipt p50/p95/p99 ${row.receiptP50}/${row.receiptP95}/${row.receiptP99} ms  CPU ${row.cpu.toFixed(2)} s/1000` +
      `  ${row.faults.length ? `${row.faults.length} FAULTS` : 'nothing lost, twice, altered or out of order'}`,
  )
  const ratios: Record<string, number> = {}
  const [whole, alone] = ['full', 'tap-alone'].map((setup) =>
    rows.find((row) => row.setup === setup && row.load.endsWith('in flight')),
  )
  if (whole && alone) {
    ratios['full'] = Math.round((whole.messagesPerSecond / alone.messagesPerSecond) * 100) / 100
    lines.push(`ratio    full / tap-alone: ${ratios['full']} (target 0.8)`)
  }
  for (const plan of plans) {
    const [one, two] = ['full', 'double'].map((setup) =>
      rows.find((row) => row.setup === setup && row.load === planText(plan)),
    )
    if (!one || !two) continue
    const ratio = Math.round((two.cpu / one.cpu) * 100) / 100
    ratios[`double CPU, ${planText(plan)}`] = ratio
    lines.push(`ratio    CPU of double / full, ${planText(plan)}: ${ratio} (target 1.3)`)
  }
  const target = (met: boolean, what: string) => lines.push(`${met ? 'met   ' : 'MISSED'}   ${what}`)
  const closed = rows.find((row) => row.setup === 'full' && row.load.endsWith('in flight'))
  const open = rows.find((row) => row.setup === 'full' && row.load === '2000/s')
  if (ratios['full'] !== undefined) target(ratios['full'] >= 0.8, `full / tap-alone at least 0.8: ${ratios['full']}`)
  if (closed) target(closed.messagesPerSecond >= 5000, `at least 5000 msg/s: ${closed.messagesPerSecond}`)
  if (open) target(open.receiptP99 <= 100, `p99 send to receipt at 2000/s at most 100 ms: ${open.receiptP99}`)
  return { rows, ratios, lines }
}

if (values.help) console.log(usage)
else process.exitCode = await main()
