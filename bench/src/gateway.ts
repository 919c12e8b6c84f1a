/** The gateway beside a bare proxy and beside nginx, on one machine in one run; see ../README.md. */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startServers } from '@im/dev/servers'
import { freePort } from '@im/service-kit/testing'
import {
  answer,
  startAuthRequest,
  startBareProxy,
  startGateway,
  startUpstream,
  type Target,
} from './gateway/targets.ts'
import { type Load, load } from './gateway/wrk.ts'
import { machine } from './machine.ts'
import { median } from './percentiles.ts'

const usage = `npm run bench:gateway -- [options]     (needs wrk and nginx: apt-get install wrk nginx-light)

Redis and NATS: those of REDIS_URL and NATS_URL, else its own for the time of the run.

  --rounds N         rounds of each load on each target, interleaved       (3)
  --seconds N        length of a round                                     (4)
  --connections N    closed loop of the throughput rounds                  (64)
  --json FILE        also write everything as JSON

Exit code 1 when an answer was wrong or a target of docs/performance.md is missed.`

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '64' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

/**
 * What a call takes when no process is full: each of these connections rests between its calls, about 1,800 calls a second
 * together. A few connections without rest fill a process as well as many do, and its p99 then changes from round to round.
 */
const calm = { connections: 16, restMs: 8 }

interface Result {
  target: string
  kind: 'full' | 'calm'
  loads: Measured[]
}

interface Measured extends Load {
  /** CPU time of the target for one call: says what it costs however busy the machine is otherwise. */
  cpuMicroseconds: number
}

async function main(): Promise<number> {
  const missing = ['wrk', 'nginx'].filter((tool) => spawnSync('which', [tool]).status !== 0)
  if (missing.length) {
    console.error(`Not installed: ${missing.join(' and ')}. On Debian: apt-get install ${missing.join(' ')}`)
    return 1
  }
  const folder = await mkdtemp(join(tmpdir(), 'im-bench-gateway-'))
  const tokens = Array.from({ length: 200 }, () => randomBytes(16).toString('hex'))
  const scripts = { full: join(folder, 'full.lua'), calm: join(folder, 'calm.lua') }
  await writeFile(scripts.full, callsOf(tokens))
  await writeFile(scripts.calm, `${callsOf(tokens)}function delay() return ${calm.restMs} end\n`)
  const opened: { close(): Promise<void> }[] = []
  const open = async (starting: Promise<Target>) => {
    const target = await starting
    opened.push(target)
    return target
  }
  try {
    opened.push(await ownServers(folder))
    const upstream = await open(startUpstream(folder, await freePort()))
    const [operations, operationsStreamed] = [await freePort(), await freePort()]
    const targets = [
      await open(startBareProxy(await freePort(), upstream.url)),
      await open(startAuthRequest(folder, await freePort(), upstream.url)),
      await open(startGateway('gateway', await freePort(), operations, upstream.url, tokens)),
      await open(startGateway('all-streamed', await freePort(), operationsStreamed, upstream.url, tokens)),
    ]
    for (const target of targets) await checkAnswer(target, tokens[0] ?? '')
    for (const target of targets) await load(target.url, scripts.full, 16, 2)
    const results = await measure(targets, scripts)
    const refused = (await refusals(operations)) + (await refusals(operationsStreamed))
    return report(results, refused)
  } finally {
    for (const target of opened.reverse()) await target.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Redis and NATS for this run where the environment names none. */
async function ownServers(folder: string): Promise<{ close(): Promise<void> }> {
  const { REDIS_URL, NATS_URL } = process.env
  const missing = [REDIS_URL ? [] : ['redis' as const], NATS_URL ? [] : ['nats' as const]].flat()
  if (!missing.length) return { close: async () => {} }
  const dataDir = join(folder, 'servers')
  const servers = await startServers({ dataDir, ports: 'free', env: process.env, servers: missing, supervise: false })
  Object.assign(process.env, servers.env)
  return servers
}

const callsOf = (tokens: readonly string[]) => `local tokens = { ${tokens.map((token) => `'${token}'`).join(', ')} }
local n = 0
local calls = {}
function init()
  for i, token in ipairs(tokens) do
    calls[i] = wrk.format('GET', '/user/get?access_token=' .. token .. '&userId=10000001&language=zh', {
      ['Host'] = 'im.example.org', ['User-Agent'] = 'okhttp/3.12', ['Accept-Encoding'] = 'gzip'
    })
  end
end
function request() n = n + 1; return calls[n % #calls + 1] end
`

async function checkAnswer(target: Target, token: string): Promise<void> {
  const text = await (await fetch(`${target.url}/user/get?access_token=${token}`)).text()
  if (text !== answer) throw new Error(`${target.name} answered ${text}`)
}

/** Calls the gateway answered itself: none is right here, and they would look fast. */
async function refusals(operationsPort: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${operationsPort}/metrics`)).text()
  const counts = [...text.matchAll(/^im_gateway_refused_total\{.*\} (\d+)$/gm)].map(([, count]) => Number(count))
  return counts.reduce((sum, count) => sum + count, 0)
}

async function measure(targets: readonly Target[], scripts: Record<Result['kind'], string>): Promise<Result[]> {
  const results: Result[] = targets.flatMap(({ name }) => [
    { target: name, kind: 'full', loads: [] },
    { target: name, kind: 'calm', loads: [] },
  ])
  for (let round = 0; round < Number(values.rounds); round++)
    for (const result of results) {
      const target = targets.find(({ name }) => name === result.target) as Target
      const connections = result.kind === 'full' ? Number(values.connections) : calm.connections
      const seconds = Number(values.seconds)
      const before = await target.cpu()
      const loaded = await load(target.url, scripts[result.kind], connections, seconds)
      const cpuMicroseconds = (((await target.cpu()) - before) * 1e6) / (loaded.perSecond * seconds)
      result.loads.push({ ...loaded, cpuMicroseconds })
    }
  return results
}

async function report(results: readonly Result[], refused: number): Promise<number> {
  const middle = (target: string, kind: Result['kind'], field: keyof Measured) =>
    median(
      results.find((result) => result.target === target && result.kind === kind)?.loads.map((one) => one[field]) ?? [],
    )
  console.table(
    results.map(({ target, kind }) => ({
      target,
      load: kind,
      'requests/s': Math.round(middle(target, kind, 'perSecond')),
      'p50 ms': middle(target, kind, 'p50'),
      'p99 ms': middle(target, kind, 'p99'),
      'CPU µs/call': Math.round(middle(target, kind, 'cpuMicroseconds')),
    })),
  )
  const ratio = (other: string) => middle('gateway', 'full', 'perSecond') / middle(other, 'full', 'perSecond')
  const figures = {
    againstBareProxy: ratio('http-proxy'),
    againstAuthRequest: ratio('auth-request'),
    ownWayGain: ratio('all-streamed'),
    addedP99: middle('gateway', 'calm', 'p99') - middle('http-proxy', 'calm', 'p99'),
    failures: results.flatMap(({ loads }) => loads).reduce((sum, { failures }) => sum + failures, 0) + refused,
  }
  const checks: [text: string, met: boolean][] = [
    [
      `gateway / bare http-proxy: ${figures.againstBareProxy.toFixed(2)} of its requests/s (target 1.0)`,
      figures.againstBareProxy >= 1,
    ],
    [
      `gateway / nginx auth_request: ${figures.againstAuthRequest.toFixed(2)} (target 0.75)`,
      figures.againstAuthRequest >= 0.75,
    ],
    [
      `gateway / the same with all calls carried by @fastify/reply-from: ${figures.ownWayGain.toFixed(2)} (worth its lines above 1.1)`,
      figures.ownWayGain >= 1.1,
    ],
    [`p99 added to the bare proxy: ${figures.addedP99.toFixed(2)} ms (target 1.5)`, figures.addedP99 <= 1.5],
    [`wrong answers: ${figures.failures} (target 0)`, figures.failures === 0],
  ]
  for (const [text, met] of checks) console.log(`${met ? 'met   ' : 'MISSED'} ${text}`)
  if (values.json) await writeFile(values.json, JSON.stringify({ machine: machine(), figures, results }, undefined, 2))
  return checks.every(([, met]) => met) ? 0 : 1
}

if (values.help) console.log(usage)
else process.exitCode = await main()
