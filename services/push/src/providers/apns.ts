import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { readPrivateKey, setting } from '@im/service-kit'
import { SignJWT } from 'jose'
import { Type } from 'typebox'
import { cutTitle, fitBytes } from './cut-text.ts'
import { retryAfterOf } from './http-client.ts'
import { type Http2Answer, Http2Client } from './http2-client.ts'
import { meanings, outcome } from './outcomes.ts'
import type { Notification, Outcome, Provider, Target } from './provider.ts'
import { defineProvider, type ProviderTools } from './provider-definition.ts'

/** What the reasons in APNs' answers mean. */
const meaningOf = meanings({
  dead: ['Unregistered', 'ExpiredToken', 'BadDeviceToken', 'DeviceTokenNotForTopic'],
  'slow-device': ['TooManyRequests'],
  slow: ['TooManyProviderTokenUpdates', 'ServiceUnavailable'],
  retry: ['InternalServerError', 'Shutdown'],
  'stale-access': ['ExpiredProviderToken'],
  credentials: [
    ...['InvalidProviderToken', 'MissingProviderToken', 'BadCertificate', 'BadCertificateEnvironment', 'Forbidden'],
    ...['TopicDisallowed', 'BadTopic', 'MissingTopic'],
  ],
  bad: [
    ...['BadCollapseId', 'BadExpirationDate', 'BadMessageId', 'BadPriority', 'DuplicateHeaders', 'IdleTimeout'],
    ...['InvalidPushType', 'MissingDeviceToken', 'PayloadEmpty', 'BadPath', 'MethodNotAllowed', 'PayloadTooLarge'],
  ],
})

const longestPayload = { alert: 4096, voip: 5120 }
const longestCollapseId = 64
/** Apple takes a token for an hour, and refuses connections that get a new one more than every 20 minutes. */
const tokenLifeMs = 50 * 60_000
const tokenRestMs = 20 * 60_000

const pem = (text: string) => text.replaceAll('\\n', '\n')

/** The header with the signed token of the team; one at a time. */
class TeamToken {
  readonly #sign: (seconds: number) => Promise<string>
  readonly #now: () => number
  #signedAt = Number.NEGATIVE_INFINITY
  #token: Promise<string> | undefined

  constructor(options: { key: string; keyId: string; teamId: string; now: () => number }) {
    const key = readPrivateKey(options.key)
    this.#sign = async (seconds) => {
      const token = await new SignJWT()
        .setProtectedHeader({ alg: 'ES256', kid: options.keyId })
        .setIssuer(options.teamId)
        .setIssuedAt(seconds)
        .sign(key)
      return `bearer ${token}`
    }
    this.#now = options.now
  }

  get(): Promise<string> {
    if (!this.#token || this.#now() - this.#signedAt > tokenLifeMs) this.#renew()
    return this.#token as Promise<string>
  }

  /** Apple called the token too old. Returns whether there is a new one: a young token means that our clock is wrong. */
  renewIfOld(): boolean {
    if (this.#now() - this.#signedAt < tokenRestMs) return false
    this.#renew()
    return true
  }

  #renew(): void {
    this.#signedAt = this.#now()
    this.#token = this.#sign(Math.floor(this.#signedAt / 1000))
  }
}

interface ApnsOptions {
  isVoip: boolean
  client: Http2Client
  /** Where tokens of development builds are known; undefined: they are not tried there. */
  sandbox: Http2Client | undefined
  /** Undefined with a client certificate. */
  teamToken: TeamToken | undefined
  topics: readonly string[]
}

/** Apple Push Notification service over HTTP/2, with a key of the team or a client certificate (push-providers.md §3). */
class Apns implements Provider {
  readonly name: 'apns' | 'apns_voip'
  readonly perCall = 1
  readonly replaces: boolean
  readonly #options: ApnsOptions

  constructor(options: ApnsOptions) {
    this.#options = options
    this.name = options.isVoip ? 'apns_voip' : 'apns'
    this.replaces = !options.isVoip
  }

  async send(notification: Notification, [target]: readonly [Target], signal: AbortSignal): Promise<Outcome[]> {
    const { client, sandbox } = this.#options
    const body = this.#body(notification)
    if (body === undefined) return [outcome('bad', 'data too long')]
    const first = await this.#post(client, notification, target, body, signal)
    const answer =
      sandbox && reasonOf(first) === 'BadDeviceToken'
        ? await this.#post(sandbox, notification, target, body, signal)
        : first
    return [outcomeOf(answer)]
  }

  async close(): Promise<void> {
    await Promise.all([this.#options.client.close(), this.#options.sandbox?.close()])
  }

  async #post(client: Http2Client, notification: Notification, target: Target, body: string, signal: AbortSignal) {
    const { teamToken } = this.#options
    const answer = await client.post(this.#headers(notification, target, await teamToken?.get()), body, signal)
    if (reasonOf(answer) !== 'ExpiredProviderToken' || !teamToken?.renewIfOld()) return answer
    return await client.post(this.#headers(notification, target, await teamToken.get()), body, signal)
  }

  #headers({ id, expiresAt }: Notification, { token, app }: Target, authorization: string | undefined) {
    const { isVoip, topics } = this.#options
    const topic = app && topics.includes(app) ? app : topics[0]
    return {
      ':path': `/3/device/${encodeURIComponent(token)}`,
      'apns-topic': isVoip ? `${topic}.voip` : topic,
      'apns-push-type': isVoip ? 'voip' : 'alert',
      'apns-priority': '10',
      'apns-expiration': String(Math.floor(expiresAt / 1000)),
      'apns-collapse-id': isVoip ? undefined : collapseId(id),
      authorization,
    }
  }

  #body({ title, body, badge, isSilent, threadId, data }: Notification): string | undefined {
    const { isVoip } = this.#options
    return fitBytes(body, isVoip ? longestPayload.voip : longestPayload.alert, (text) =>
      JSON.stringify({
        ...data,
        aps: {
          alert: { title: cutTitle(title), body: text },
          ...(badge === undefined ? {} : { badge }),
          ...(isSilent || isVoip ? {} : { sound: 'default' }),
          'thread-id': threadId,
        },
      }),
    )
  }
}

/** Ids are 32 hex digits; another one that is too long is hashed, because it must stay the same for the same message. */
const collapseId = (id: string) =>
  Buffer.byteLength(id) <= longestCollapseId ? id : createHash('sha256').update(id).digest('base64url')

function told({ text }: Http2Answer): { reason?: string; timestamp?: number } {
  try {
    return (JSON.parse(text) ?? {}) as { reason?: string; timestamp?: number }
  } catch {
    return {}
  }
}

const reasonOf = (answer: Http2Answer) => (answer.status === 200 ? undefined : told(answer).reason)

function outcomeOf(answer: Http2Answer): Outcome {
  const { status, headers } = answer
  if (status === 200) return { kind: 'accepted', providerId: String(headers['apns-id'] ?? '') }
  const { reason, timestamp } = told(answer)
  const meaning = meaningOf(reason) ?? (status === 429 ? 'slow-device' : status === 403 ? 'credentials' : undefined)
  const more = { retryAfterMs: retryAfterOf(headers['retry-after']), ...(timestamp ? { since: timestamp } : {}) }
  return outcome(meaning ?? (status >= 500 ? 'retry' : 'bad'), `${status} ${reason ?? ''}`, more)
}

function isReadable(read: () => unknown): boolean {
  try {
    return Boolean(read())
  } catch {
    return false
  }
}

export const apns = defineProvider({
  vendor: 'APNs',
  settings: {
    apnsKey: setting.optionalText({
      env: 'PUSH_APNS_KEY',
      secret: true,
      description: 'APNs authentication key (.p8), PEM',
    }),
    apnsKeyId: setting.optionalText({ env: 'PUSH_APNS_KEY_ID', description: 'id of the APNs key, 10 characters' }),
    apnsTeamId: setting.optionalText({ env: 'PUSH_APNS_TEAM_ID', description: 'id of the Apple team, 10 characters' }),
    apnsCertificate: setting.optionalText({
      env: 'PUSH_APNS_CERTIFICATE',
      description: 'APNs client certificate (PEM); instead of a key',
    }),
    apnsCertificateKey: setting.optionalText({
      env: 'PUSH_APNS_CERTIFICATE_KEY',
      secret: true,
      description: 'private key of the APNs certificate, PEM',
    }),
    apnsVoipCertificate: setting.optionalText({
      env: 'PUSH_APNS_VOIP_CERTIFICATE',
      description: 'VoIP services certificate (PEM); without it calls use PUSH_APNS_CERTIFICATE',
    }),
    apnsVoipCertificateKey: setting.optionalText({
      env: 'PUSH_APNS_VOIP_CERTIFICATE_KEY',
      secret: true,
      description: 'private key of the VoIP services certificate, PEM',
    }),
    apnsTopics: Type.Optional(
      setting.keys({
        env: 'PUSH_APNS_TOPICS',
        description: 'bundle ids of the apps; a device that names none of them counts as the first',
      }),
    ),
    apnsUrl: setting.url({
      env: 'PUSH_APNS_URL',
      default: 'https://api.push.apple.com',
      description: 'address of APNs; https://api.sandbox.push.apple.com for development builds',
    }),
    apnsSandboxUrl: setting.url({
      env: 'PUSH_APNS_SANDBOX_URL',
      default: 'https://api.sandbox.push.apple.com',
      description: 'where tokens are tried again with PUSH_APNS_TRY_SANDBOX',
    }),
    apnsTrySandbox: setting.flag({
      env: 'PUSH_APNS_TRY_SANDBOX',
      default: false,
      description: 'a token that PUSH_APNS_URL does not know (BadDeviceToken) is tried at the other address',
    }),
  },
  needs: [
    ['apnsKey', 'apnsKeyId', 'apnsTeamId', 'apnsTopics'],
    ['apnsCertificate', 'apnsCertificateKey', 'apnsTopics'],
  ],
  check({ apnsKey, apnsCertificate, apnsCertificateKey, apnsVoipCertificate, apnsVoipCertificateKey }) {
    const problems: string[] = []
    if (apnsKey && !isReadable(() => readPrivateKey(apnsKey).asymmetricKeyDetails?.namedCurve === 'prime256v1'))
      problems.push('PUSH_APNS_KEY is no private key of the curve P-256')
    const certificates = [
      ['PUSH_APNS_CERTIFICATE', apnsCertificate, apnsCertificateKey],
      ['PUSH_APNS_VOIP_CERTIFICATE', apnsVoipCertificate, apnsVoipCertificateKey],
    ] as const
    for (const [env, cert, key] of certificates) {
      if (Boolean(cert) !== Boolean(key)) problems.push(`${env} and ${env}_KEY must be set together`)
      else if (
        cert &&
        key &&
        !isReadable(() => new X509Certificate(pem(cert)).checkPrivateKey(createPrivateKey(pem(key))))
      )
        problems.push(`${env} is no certificate of ${env}_KEY`)
    }
    return problems
  },
  create(config, tools) {
    const { apnsKey, apnsKeyId, apnsTeamId, apnsCertificate, apnsCertificateKey, apnsTopics: topics = [] } = config
    const { apnsVoipCertificate, apnsVoipCertificateKey, apnsUrl, apnsSandboxUrl, apnsTrySandbox } = config
    const withKey = apnsKey && apnsKeyId && apnsTeamId
    const teamToken = withKey
      ? new TeamToken({ key: apnsKey, keyId: apnsKeyId, teamId: apnsTeamId, now: tools.now })
      : undefined
    const certificate = withKey ? undefined : pair(apnsCertificate, apnsCertificateKey)
    const client = (url: string, own = certificate) => createClient(tools, url, own)
    const voipCertificate = withKey ? undefined : pair(apnsVoipCertificate, apnsVoipCertificateKey)
    const make = (isVoip: boolean, own = certificate) =>
      new Apns({
        isVoip,
        client: client(apnsUrl, own),
        sandbox: apnsTrySandbox ? client(apnsSandboxUrl, own) : undefined,
        teamToken,
        topics,
      })
    return [make(false), make(true, voipCertificate ?? certificate)]
  },
})

const pair = (cert?: string, key?: string) => (cert && key ? { cert: pem(cert), key: pem(key) } : undefined)

const createClient = ({ config }: ProviderTools, url: string, certificate: { cert: string; key: string } | undefined) =>
  new Http2Client({ url, ca: config.pushCa, certificate, timeoutMs: config.pushTimeoutMs })
