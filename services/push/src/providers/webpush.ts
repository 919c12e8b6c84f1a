import { createECDH, createHash } from 'node:crypto'
import { Resolver } from 'node:dns'
import { setting } from '@im/service-kit'
import {
  BrokenCircuitError,
  type CircuitBreakerPolicy,
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleWhenResult,
} from 'cockatiel'
import { LRUCache } from 'lru-cache'
import { type Agent, request } from 'undici'
import webPush from 'web-push'
import { cutTitle, fitBytes } from './cut-text.ts'
import { textId } from './derived-ids.ts'
import { boundedAgent, retryAfterOf } from './http-client.ts'
import { outcome } from './outcomes.ts'
import type { Notification, Outcome, Provider, Target } from './provider.ts'
import { defineProvider } from './provider-definition.ts'
import { isAllowedHost, publicLookup, userNameLookups } from './public-addresses.ts'
import { readSubscription, type Subscription } from './subscription.ts'

/** In bytes: 4096 with what encryption adds. */
const longestText = 3993
const longestTopic = 32
const breakMs = 60_000

/** What the status of an answer means. It comes from a server that a user named, so it says nothing about others. */
function outcomeOf(status: number, retryAfterMs: number | undefined): Outcome {
  if (status === 200 || status === 201 || status === 202) return { kind: 'accepted' }
  if (status === 404 || status === 410) return outcome('dead', `HTTP ${status}`)
  if (status === 429) return outcome('slow-device', `HTTP ${status}`, { retryAfterMs })
  if (status >= 500) return outcome('retry', `HTTP ${status}`, { retryAfterMs })
  return outcome('bad', `HTTP ${status}`)
}

const isKind = (kind: Outcome['kind']) => (result: unknown) => (result as Outcome).kind === kind

/** Leave alone for a while who does not take what it is sent, up to an hour. Users may name any number of them. */
class Breakers {
  readonly #isTrouble: (result: unknown) => boolean
  readonly #known = new LRUCache<string, CircuitBreakerPolicy>({ max: 10_000 })

  constructor(isTrouble: (result: unknown) => boolean) {
    this.#isTrouble = isTrouble
  }

  of(name: string): CircuitBreakerPolicy {
    const known = this.#known.get(name)
    if (known) return known
    const breaker = circuitBreaker(handleWhenResult(this.#isTrouble), {
      halfOpenAfter: new ExponentialBackoff({ initialDelay: breakMs, maxDelay: breakMs * 60 }),
      breaker: new ConsecutiveBreaker(5),
    })
    this.#known.set(name, breaker)
    return breaker
  }
}

interface WebPushOptions {
  agent: Agent
  vapid: { subject: string; publicKey: string; privateKey: string }
  allowPrivate: boolean
  timeoutMs: number
  now: () => number
}

/** Web Push (RFC 8030, 8291, 8292) to browsers and UnifiedPush distributors, push-providers.md §14. */
class WebPush implements Provider {
  readonly name = 'webpush'
  readonly perCall = 1
  readonly replaces = true
  readonly #options: WebPushOptions
  readonly #origins = new Breakers(isKind('retry'))
  /** Those that are refused, as with another key than ours: others at the same server are not. */
  readonly #subscriptions = new Breakers(isKind('bad'))

  constructor(options: WebPushOptions) {
    this.#options = options
  }

  async send(notification: Notification, [target]: readonly [Target], signal: AbortSignal): Promise<Outcome[]> {
    const subscription = readSubscription(target.token)
    const { origin, hostname } = new URL(subscription.endpoint)
    if (!this.#options.allowPrivate && !isAllowedHost(hostname)) return [outcome('bad', 'a private address')]
    try {
      const post = () => this.#post(notification, subscription, signal)
      const ofSubscription = this.#subscriptions.of(textId(target.token))
      return [await ofSubscription.execute(() => this.#origins.of(origin).execute(post))]
    } catch (error) {
      if (!(error instanceof BrokenCircuitError)) throw error
      return [outcome('slow-device', 'it or its server is in trouble', { retryAfterMs: breakMs })]
    }
  }

  sourceOf({ token }: Target): string {
    return new URL(readSubscription(token).endpoint).origin
  }

  close(): Promise<void> {
    return this.#options.agent.close()
  }

  async #post(notification: Notification, subscription: Subscription, signal: AbortSignal): Promise<Outcome> {
    const { agent, vapid: vapidDetails, timeoutMs, now } = this.#options
    const payload = payloadOf(notification)
    if (payload === undefined) return outcome('bad', 'data too long')
    let details: webPush.RequestDetails
    try {
      details = webPush.generateRequestDetails(subscription, payload, {
        vapidDetails,
        TTL: Math.max(0, Math.floor((notification.expiresAt - now()) / 1000)),
        urgency: 'high',
        topic: topicOf(notification.id),
      })
    } catch {
      return outcome('bad', 'nothing can be encrypted for its keys')
    }
    try {
      const { statusCode, headers, body } = await request(subscription.endpoint, {
        method: 'POST',
        dispatcher: agent,
        headers: Object.fromEntries(Object.entries(details.headers).map(([name, value]) => [name, String(value)])),
        body: details.body,
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      })
      await body.dump()
      return outcomeOf(statusCode, retryAfterOf(headers['retry-after']))
    } catch (error) {
      return outcome('retry', (error as { code?: string }).code ?? 'no answer')
    }
  }
}

const payloadOf = ({ id, title, body, badge, isSilent, threadId, kind, data }: Notification) =>
  fitBytes(body, longestText, (text) =>
    JSON.stringify({
      tag: id,
      title: cutTitle(title),
      body: text,
      badge,
      silent: isSilent ?? false,
      threadId,
      kind,
      data,
    }),
  )

/** Ids are 32 hex digits; any other is hashed to as many characters. */
const topicOf = (id: string) =>
  /^[\w-]{1,32}$/.test(id) ? id : createHash('sha256').update(id).digest('base64url').slice(0, longestTopic)

function isPair(publicKey: string, privateKey: string): boolean {
  try {
    const pair = createECDH('prime256v1')
    pair.setPrivateKey(privateKey, 'base64url')
    return pair.getPublicKey('base64url') === publicKey
  } catch {
    return false
  }
}

export const webpush = defineProvider({
  vendor: 'Web Push',
  settings: {
    webPushPublicKey: setting.optionalText({
      env: 'PUSH_WEBPUSH_PUBLIC_KEY',
      description: 'VAPID public key (Base64url), which web apps subscribe with',
    }),
    webPushPrivateKey: setting.optionalText({
      env: 'PUSH_WEBPUSH_PRIVATE_KEY',
      secret: true,
      description: 'VAPID private key (Base64url)',
    }),
    webPushSubject: setting.optionalText({
      env: 'PUSH_WEBPUSH_SUBJECT',
      description: 'how push services reach the operator: mailto:… or https://…',
    }),
    webPushAllowPrivate: setting.flag({
      env: 'PUSH_WEBPUSH_ALLOW_PRIVATE',
      default: false,
      description: 'also push to servers in the private network; users choose the addresses',
    }),
  },
  needs: [['webPushPublicKey', 'webPushPrivateKey', 'webPushSubject']],
  check({ webPushPublicKey = '', webPushPrivateKey = '', webPushSubject = '' }) {
    const problems: string[] = []
    if (!isPair(webPushPublicKey, webPushPrivateKey))
      problems.push(
        'PUSH_WEBPUSH_PUBLIC_KEY and PUSH_WEBPUSH_PRIVATE_KEY are no pair: make one with `npx web-push generate-vapid-keys`',
      )
    if (!/^(mailto:[^@\s]+@[^@\s]+\.[^@\s]+|https:\/\/\S+)$/.test(webPushSubject))
      problems.push('PUSH_WEBPUSH_SUBJECT must be mailto: with a real address, or an https address')
    return problems
  },
  create(config, { config: { pushCa, pushTimeoutMs: timeoutMs }, now }) {
    const {
      webPushPublicKey: publicKey = '',
      webPushPrivateKey: privateKey = '',
      webPushSubject: subject = '',
    } = config
    const allowPrivate = config.webPushAllowPrivate
    const lookup = allowPrivate ? {} : { lookup: publicLookup(new Resolver(userNameLookups)) }
    const agent = boundedAgent({ ca: pushCa, connections: 20, timeoutMs, ...lookup })
    return [new WebPush({ agent, vapid: { subject, publicKey, privateKey }, allowPrivate, timeoutMs, now })]
  },
})
