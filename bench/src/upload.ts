/** Uploads through the gateway beside nginx, the memory they take, and what avatars cost others; see ../README.md. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { archive } from '@im/contracts/message'
import { accounts } from '@im/contracts/user'
import { type Stack, startStack } from '@im/dev'
import { createTestClient, eventually, freePort, type TestClient } from '@im/service-kit/testing'
import sharp from 'sharp'
import { machine } from './machine.ts'
import { type Latency, latencyOf, median } from './percentiles.ts'
import { residentMegabytes } from './process-usage.ts'
import { type Account, send } from './upload/send.ts'

const usage = `npm run bench:upload -- [options]     (needs nginx: apt-get install nginx-light)

  --mebibytes N   size of the file                                      (100)
  --rounds N      uploads through the gateway and nginx, interleaved    (5)
  --avatars N     avatars of 12 million pixels that come at once        (20)
  --json FILE     also write everything as JSON

Exit code 1 when an answer was wrong or a target of docs/performance.md is missed.`

const { values } = parseArgs({
  options: {
    mebibytes: { type: 'string', default: '100' },
    rounds: { type: 'string', default: '5' },
    avatars: { type: 'string', default: '20' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const targets = { extraMegabytes: 64, ofNginx: 0.5, othersP99: 100 }
const mebibyte = 1024 * 1024
/** Milliseconds between two calls of the others, and between two looks at the memory. */
const pause = 20

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'im-bench-upload-'))
  const quick = { ARGON2_MEMORY_KIB: '64', ARGON2_PASSES: '1' }
  const stack = await startStack({
    dataDir: folder,
    ports: 'free',
    env: { ...process.env, ...quick, NODE_ENV: 'development', LOG_LEVEL: 'warn', LIMIT_FACTOR: '0' },
    services: ['gateway', 'user', 'message'],
    servers: ['mongodb', 'redis', 'nats'],
    apart: 'all',
    supervise: false,
    report: { info: console.error, progress() {} },
  })
  const api = createTestClient({ baseUrl: stack.urls.gateway, timeout: 20_000 })
  const nginx = await startNginx(folder, stack.urls.message)
  try {
    const people = await register(api, Number(values.avatars) + 1)
    const uploads = await measureUploads(stack, nginx.url, people[0]!)
    const others = await measureAvatars(stack, api, people)
    return await report(uploads, others)
  } finally {
    await api.close()
    await nginx.close()
    await stack.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** nginx that passes bodies on while they arrive. */
async function startNginx(folder: string, upstream: string) {
  const port = await freePort()
  const file = join(folder, 'nginx.conf')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder};`)
  await writeFile(
    file,
    `daemon off; worker_processes 1; pid ${join(folder, 'nginx.pid')}; error_log stderr error;
events {}
http {
  access_log off; ${temporary.join(' ')}
  client_max_body_size 0; proxy_request_buffering off; proxy_http_version 1.1;
  server { listen 127.0.0.1:${port}; location / { proxy_pass ${upstream}; } }
}
`,
  )
  const child = spawn('nginx', ['-p', folder, '-c', file], { stdio: ['ignore', 'ignore', 'inherit'] })
  const url = `http://127.0.0.1:${port}`
  await eventually(async () => (await fetch(`${url}/healthz`)).ok)
  return {
    url,
    async close() {
      child.kill('SIGTERM')
      if (child.exitCode === null) await once(child, 'exit')
    },
  }
}

async function register(api: TestClient, count: number): Promise<Account[]> {
  const people: Account[] = []
  for (let n = 0; n < count; n++) {
    const telephone = `139${String(Date.now() % 100_000).padStart(5, '0')}${String(n).padStart(3, '0')}`
    const made = { telephone, password: '5f4dcc3b5aa765d61d8327deb882cf99', nickname: `n${n}`, serial: `s${n}` }
    const { userId, access_token: token } = await api.call(accounts.register, made)
    people.push({ userId, token })
  }
  return people
}

/** Megabytes that each process took beyond what it had before, at most. */
async function watchMemory(stack: Stack, work: () => Promise<void>) {
  const names = ['gateway', 'message'] as const
  const resident = async () => {
    const all = names.map(async (name) => (await residentMegabytes(stack.process(name).pid ?? 0)).resident)
    return await Promise.all(all)
  }
  const before = await resident()
  const most = [...before]
  let over = false
  const watching = (async () => {
    while (!over) {
      for (const [n, now] of (await resident()).entries()) most[n] = Math.max(most[n] ?? 0, now)
      await delay(pause)
    }
  })()
  await work()
  over = true
  await watching
  return Object.fromEntries(names.map((name, n) => [name, (most[n] ?? 0) - (before[n] ?? 0)]))
}

async function measureUploads(stack: Stack, nginx: string, person: Account) {
  const content = randomBytes(Number(values.mebibytes) * mebibyte)
  const path = '/upload/UploadServlet'
  const rates: Record<'gateway' | 'nginx', number[]> = { gateway: [], nginx: [] }
  // What the first upload loads is no memory of uploads.
  await send(stack.urls.gateway, path, person, content.subarray(0, 4 * mebibyte))
  await delay(1000)
  const extra = await watchMemory(stack, async () => void (await send(stack.urls.gateway, path, person, content)))
  for (let round = 0; round < Number(values.rounds); round++)
    for (const [name, url] of [
      ['gateway', stack.urls.gateway],
      ['nginx', nginx],
    ] as const)
      rates[name].push(Number(values.mebibytes) / (await send(url, path, person, content)))
  return { extra, gateway: median(rates.gateway), nginx: median(rates.nginx) }
}

/** Sends avatars at once, in a thread whose work is not measured. */
async function sendApart(url: string, people: readonly Account[], photo: Uint8Array): Promise<void> {
  const thread = new Worker(new URL('./upload/send-avatars.ts', import.meta.url), {
    workerData: { url, people, photo },
  })
  const [code] = await once(thread, 'exit')
  if (code !== 0) throw new Error('avatars were not accepted')
}

/** How long calls of others take while avatars come at once. */
async function measureAvatars(
  stack: Stack,
  api: TestClient,
  [caller, ...people]: readonly Account[],
): Promise<{ quiet: Latency; latency: Latency; seconds: number }> {
  const noise = randomBytes(500 * 375 * 3)
  const photo = await sharp(noise, { raw: { width: 500, height: 375, channels: 3 } })
    .resize(4000, 3000)
    .jpeg()
    .toBuffer()
  const took: number[] = []
  const call = async () => {
    const startedAt = performance.now()
    await api.call(archive.listLastChats, {}, { token: caller!.token })
    took.push(performance.now() - startedAt)
  }
  for (let n = 0; n < 200; n++) await call()
  const quiet = latencyOf(took.splice(0).slice(50))
  let over = false
  const others = (async () => {
    while (!over) {
      await call()
      await delay(pause)
    }
  })()
  const startedAt = performance.now()
  await sendApart(stack.urls.gateway, people, photo)
  over = true
  await others
  return { quiet, latency: latencyOf(took), seconds: (performance.now() - startedAt) / 1000 }
}

async function report(
  uploads: Awaited<ReturnType<typeof measureUploads>>,
  others: Awaited<ReturnType<typeof measureAvatars>>,
): Promise<number> {
  const { extra, gateway, nginx } = uploads
  const most = Math.max(...Object.values(extra))
  const checks: [text: string, met: boolean][] = [
    [
      `extra memory of ${values.mebibytes} MiB: ${Object.entries(extra).map(([name, megabytes]) => `${name} ${megabytes.toFixed(0)} MB`)} (target ${targets.extraMegabytes})`,
      most <= targets.extraMegabytes,
    ],
    [
      `gateway ${gateway.toFixed(0)} MiB/s, nginx ${nginx.toFixed(0)} MiB/s: ${(gateway / nginx).toFixed(2)} (target ${targets.ofNginx})`,
      gateway / nginx >= targets.ofNginx,
    ],
    [
      `${values.avatars} avatars in ${others.seconds.toFixed(1)} s; p99 of other calls ${others.latency.p99.toFixed(0)} ms, ${others.quiet.p99.toFixed(0)} ms before (target ${targets.othersP99})`,
      others.latency.p99 <= targets.othersP99,
    ],
  ]
  for (const [text, met] of checks) console.log(`${met ? 'met   ' : 'MISSED'} ${text}`)
  if (values.json) await writeFile(values.json, JSON.stringify({ machine: machine(), uploads, others }, undefined, 2))
  return checks.every(([, met]) => met) ? 0 : 1
}

if (values.help) console.log(usage)
else process.exitCode = await main()
