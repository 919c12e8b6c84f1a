/** Every query of the dashboards and the alert rules, against a stack that runs. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, startStack, withoutGivenServers } from '@im/dev'
import { startPrometheus } from '@im/dev/prometheus'
import { eventually } from '@im/service-kit/testing'
import { People } from '@im/test-e2e'
import { test } from 'tap'
import { parse } from 'yaml'
import { dashboards } from '../src/index.ts'
import { machine, monitoring } from './machine.ts'
import { labelsOfLegend, namedIn } from './promql.ts'

interface Query {
  /** Where it stands. */
  of: string
  expr: string
  /** Labels of its legend. */
  legend: string[]
}

async function allQueries(): Promise<Query[]> {
  const shown = dashboards.flatMap(({ id, rows }) =>
    rows.flatMap(({ panels }) =>
      panels.flatMap(({ title, queries }) =>
        queries.map(({ expr, as }) => ({ of: `${id} / ${title}`, expr, legend: labelsOfLegend(as) })),
      ),
    ),
  )
  const { groups } = parse(await readFile(join(monitoring, 'alerts.yaml'), 'utf8'))
  const rules = groups.flatMap(({ rules }: { rules: { alert: string; expr: string }[] }) =>
    rules.map(({ alert, expr }) => ({ of: alert, expr, legend: [] })),
  )
  return [...shown, ...rules]
}

/** The numbers at the top of a dashboard: an empty one says nothing about a fleet that is well. */
const shownAtOnce = new Set(
  dashboards.flatMap(({ id, rows }) =>
    rows.flatMap(({ panels }) => panels.filter(({ stat }) => stat).map(({ title }) => `${id} / ${title}`)),
  ),
)

/** Labels that Prometheus itself adds to all. */
const ofTargets = ['job', 'instance']

/** Labels of the metrics that docs/metrics.md lists: those of counters that have counted nothing yet are in no scrape. */
async function listedMetrics(): Promise<Map<string, Set<string>>> {
  const text = await readFile(join(monitoring, '../../docs/metrics.md'), 'utf8')
  const listed = new Map<string, Set<string>>()
  for (const [, name = '', type, labels = ''] of text.matchAll(/^\| `(\w+)` \| (\w+) \| ([^|]*) \|/gm)) {
    const own = ['service', ...labels.split(',').map((label) => label.trim())]
    const names = type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name]
    for (const each of names) listed.set(each, new Set(each.endsWith('_bucket') ? [...own, 'le'] : own))
  }
  return listed
}

test('every query names metrics and labels that there are, and Prometheus answers it', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'im-queries-'))
  t.after(() => rm(dataDir, { recursive: true, force: true }))
  const stack = await startStack({
    dataDir,
    ports: 'free',
    env: { ...withoutGivenServers(process.env), NODE_ENV: 'test', LOG_LEVEL: 'error', XMPP_TLS: 'off' },
  })
  t.after(() => stack.close())
  await haveAChat({
    gatewayUrl: stack.urls.gateway,
    xmppPort: Number(stack.env['XMPP_PORT']),
    xmppDomain: stack.env['XMPP_DOMAIN'] ?? '',
  })
  const port = await freePort()
  const prometheus = await startPrometheus({ machine, dataDir, port, targets: stack.metrics, scrapeSeconds: 1 })
  t.after(() => prometheus.close())
  const ask = async (path: string, params: Record<string, string>) => {
    const answer = await fetch(`${prometheus.url}/api/v1/${path}?${new URLSearchParams(params)}`)
    const { status, data, error } = (await answer.json()) as { status: string; data: unknown; error?: string }
    if (status !== 'success') throw new Error(error)
    return data as { result: object[] } & Record<string, string>[]
  }
  const targets = Object.keys(stack.metrics)
  await eventually(async () => (await ask('query', { query: 'up == 1' })).result.length === targets.length, 20_000)
  const scraped = new Map<string, Set<string>>()
  for (const { __name__: name = '', ...labels } of await ask('series', { 'match[]': '{__name__!=""}' }))
    scraped.set(name, new Set([...(scraped.get(name) ?? []), ...Object.keys(labels)]))
  const listed = await listedMetrics()
  t.ok(scraped.size > 60 && listed.size > 30)

  for (const { of, expr, legend } of await allQueries()) {
    const named = namedIn(expr)
    t.ok(named.length > 0, `${of} names a metric`)
    for (const { metric, labels } of named) {
      const known = scraped.get(metric) ?? listed.get(metric) ?? new Set()
      t.ok(known.size > 0, `${of}: there is a metric ${metric}`)
      for (const label of [...labels, ...legend])
        t.ok(known.has(label) || ofTargets.includes(label), `${of}: ${metric} has a label ${label}`)
    }
    const answer = () => ask('query', { query: expr.replaceAll('$__rate_interval', '5m') })
    await t.resolves(answer(), `${of} is answered`)
    // A rate needs a second scrape.
    if (shownAtOnce.has(of))
      t.ok(
        await eventually(async () => (await answer()).result.length > 0, 10_000),
        `${of} shows something after a chat`,
      )
  }
  // The stack at rest is well. Those that tell of load may begin to be true beside other work.
  const alerts = () => ask('query', { query: 'ALERTS{alertname!~"EventLoopBusy|CallsSlow|ReceiptsSlow"}' })
  // Rules were asked before the first scrape, too.
  await eventually(async () => (await alerts()).result.length === 0, 20_000).catch(() => {})
  t.strictSame((await alerts()).result, [])
})

/** So that what is counted at a message is there. */
async function haveAChat(addresses: ConstructorParameters<typeof People>[0]): Promise<void> {
  const people = new People(addresses)
  const [alice, bob] = [await people.register('alice'), await people.register('bob')]
  const [sender, receiver] = [await alice.phone(), await bob.phone()]
  const { messageId } = await sender.say(bob.userId, 'hello')
  await receiver.hears(({ id }) => id === messageId)
  await people.close()
}
