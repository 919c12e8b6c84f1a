import { type ChildProcess, fork } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { service } from '@im/push'
import { createChannels, Http2Client, type Notification, type Target } from '@im/push/providers'
import { createLogger, createMetrics, OptionalRedis, Redis } from '@im/service-kit'
import { generate } from 'selfsigned'
import { median } from '../percentiles.ts'
import type { ApnsReport } from './apns-process.ts'

/** Pushes in flight at the same time, in both ways. */
const inFlight = 100
const topic = 'im.example.app'

export interface Throughput {
  /** Pushes a second of each round. */
  bare: number[]
  channel: number[]
  /** Of the channel against the bare loop: the median of the rounds, each against the one before it, so that other work counts in both. */
  ratio: number
  /** Pushes that did not arrive exactly once. */
  wrong: number
}

const tokenOf = (number: number) => number.toString(16).padStart(64, '0')

const targetOf = (number: number): Target => ({ token: tokenOf(number), device: 'ios', app: topic, registeredAt: 0 })

const notification = (number: number): Notification => ({
  id: number.toString(16).padStart(32, '0'),
  title: '李雷',
  body: `李雷:第 ${number} 条消息，晚上一起吃饭吗？`,
  badge: 3,
  threadId: '10000001',
  kind: 'message',
  data: { from: '10000001', to: '10000002', messageType: '1', messageId: String(number), isGroup: '0' },
  expiresAt: Date.now() + 3_600_000,
})

/**
 * Pushes to an APNs of its own process, in turns by a loop over the HTTP/2 client alone (headers and bodies made before) and by
 * the channel with all it does (notifications made before). Both send the same bytes with as many requests in flight.
 */
export async function measureThroughput(options: { pushes: number; rounds: number }): Promise<Throughput> {
  const { pushes, rounds } = options
  const certificate = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  })
  const apns = fork(join(import.meta.dirname, 'apns-process.ts'), {
    env: { ...process.env, CERT: certificate.cert, CERT_KEY: certificate.private },
  })
  const { url } = (await told(apns)) as { url: string }
  const channels = openChannels(url, certificate.cert)
  const client = new Http2Client({ url, ca: certificate.cert, timeoutMs: 5000 })
  const result: Throughput = { bare: [], channel: [], ratio: 0, wrong: 0 }
  const round = async (send: (number: number) => Promise<unknown>) => {
    const began = performance.now()
    let next = 0
    const lane = async () => {
      while (next < pushes) await send(next++)
    }
    await Promise.all(Array.from({ length: inFlight }, lane))
    const seconds = (performance.now() - began) / 1000
    apns.send('report')
    const { taken, tokens } = (await told(apns)) as { taken: number; tokens: number }
    result.wrong += pushes - tokens + (taken - tokens)
    return pushes / seconds
  }
  const bareRequests = Array.from({ length: pushes }, (_, number) => bareRequest(number))
  const never = new AbortController().signal
  const bare = (number: number) => {
    const { headers, body } = bareRequests[number] as ReturnType<typeof bareRequest>
    return client.post(headers, body, never)
  }
  const made = Array.from({ length: pushes }, (_, number) => ({
    notification: notification(number),
    target: targetOf(number),
  }))
  const channel = async (number: number) => {
    const { notification, target } = made[number] as (typeof made)[number]
    const [delivery] = await channels.of('apns').send(notification, [target])
    if (delivery?.kind !== 'accepted') result.wrong++
  }
  try {
    await round(bare)
    await round(channel)
    for (let n = 0; n < rounds; n++) {
      result.bare.push(await round(bare))
      result.channel.push(await round(channel))
    }
  } finally {
    await Promise.all([client.close(), channels.close()])
    apns.disconnect()
  }
  return { ...result, ratio: median(result.channel.map((speed, n) => speed / result.bare[n]!)) }
}

const told = async (child: ChildProcess): Promise<ApnsReport> => (await once(child, 'message'))[0] as ApnsReport

/** What the channel sends, made before. */
function bareRequest(number: number) {
  const { id, title, body, badge, threadId, data, expiresAt } = notification(number)
  const headers = {
    ':path': `/3/device/${tokenOf(number)}`,
    'apns-topic': topic,
    'apns-push-type': 'alert',
    'apns-priority': '10',
    'apns-expiration': String(Math.floor(expiresAt / 1000)),
    'apns-collapse-id': id,
    authorization: `bearer ${'x'.repeat(220)}`,
  }
  const aps = { alert: { title, body }, badge, sound: 'default', 'thread-id': threadId }
  return { headers, body: JSON.stringify({ ...data, aps }) }
}

function openChannels(url: string, ca: string) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const config = service.readConfig({
    PUSH_APNS_KEY: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    PUSH_APNS_KEY_ID: 'ABCDEF1234',
    PUSH_APNS_TEAM_ID: 'TEAM567890',
    PUSH_APNS_TOPICS: topic,
    PUSH_APNS_URL: url,
    PUSH_CA: ca,
  })
  const log = createLogger({ service: 'push', level: 'warn', format: 'json' })
  const metrics = createMetrics('push')
  // APNs has no access token that replicas share, so no connection is needed.
  const redis = new Redis(config.redisUrl, { lazyConnect: true })
  return createChannels({
    config,
    log,
    metrics,
    optionalRedis: new OptionalRedis({ redis, log, metrics }),
    now: Date.now,
  })
}
