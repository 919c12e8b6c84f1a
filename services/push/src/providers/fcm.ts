import { readPrivateKey, setting } from '@im/service-kit'
import { SignJWT } from 'jose'
import { type AccessToken, withAccess } from './access-token.ts'
import { cutTitle, fitBytes } from './cut-text.ts'
import { type HttpAnswer, type HttpClient, jsonOf, retryAfterOf, statusOutcome } from './http-client.ts'
import { readAccess } from './oauth.ts'
import { meanings, outcome } from './outcomes.ts'
import type { Notification, Outcome, Provider, Target } from './provider.ts'
import { defineProvider } from './provider-definition.ts'

/** What FcmError.errorCode means. INVALID_ARGUMENT depends on the other details. */
const meaningOf = meanings({
  dead: ['UNREGISTERED', 'SENDER_ID_MISMATCH'],
  slow: ['QUOTA_EXCEEDED'],
  retry: ['INTERNAL', 'UNAVAILABLE'],
  // Firebase has no key for APNs or Web Push: devices with Android get theirs.
  'credentials-token': ['THIRD_PARTY_AUTH_ERROR'],
  bad: ['UNSPECIFIED_ERROR'],
})

const longestMessage = 4096
const scope = 'https://www.googleapis.com/auth/firebase.messaging'
const fcmError = 'type.googleapis.com/google.firebase.fcm.v1.FcmError'
const badRequest = 'type.googleapis.com/google.rpc.BadRequest'

interface ServiceAccount {
  client_email: string
  private_key: string
  project_id: string
  token_uri: string
}

interface ErrorAnswer {
  error?: {
    status?: string
    details?: { '@type'?: string; errorCode?: string; fieldViolations?: unknown[] }[]
  }
}

/** Firebase Cloud Messaging, HTTP v1 (push-providers.md §4). */
class Fcm implements Provider {
  readonly name = 'fcm'
  readonly perCall = 1
  readonly replaces = true
  readonly #http: HttpClient
  readonly #access: AccessToken
  readonly #path: string
  readonly #channel: string | undefined
  readonly #now: () => number

  constructor(options: {
    http: HttpClient
    access: AccessToken
    project: string
    channel: string | undefined
    now: () => number
  }) {
    this.#http = options.http
    this.#access = options.access
    this.#path = `/v1/projects/${encodeURIComponent(options.project)}/messages:send`
    this.#channel = options.channel
    this.#now = options.now
  }

  async send(notification: Notification, [target]: readonly [Target], signal: AbortSignal): Promise<Outcome[]> {
    const body = this.#body(notification, target)
    if (body === undefined) return [outcome('bad', 'data too long')]
    return await withAccess(this.#access, async (token) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      return [outcomeOf(await this.#http.post(this.#path, { headers, body, signal }))]
    })
  }

  close(): Promise<void> {
    return this.#http.close()
  }

  #body({ id, title, body, badge, isSilent, data, expiresAt }: Notification, { token }: Target): string | undefined {
    const seconds = Math.max(0, Math.floor((expiresAt - this.#now()) / 1000))
    return fitBytes(body, longestMessage, (text) =>
      JSON.stringify({
        message: {
          token,
          notification: { title: cutTitle(title), body: text },
          data: allowedData(data),
          android: {
            priority: 'HIGH',
            ttl: `${seconds}s`,
            notification: {
              tag: id,
              ...(isSilent ? {} : { sound: 'default' }),
              ...(badge === undefined ? {} : { notification_count: badge }),
              ...(this.#channel ? { channel_id: this.#channel } : {}),
            },
          },
        },
      }),
    )
  }
}

const reserved = /^(from|message_type|gcm.*|google.*)$/

/** FCM refuses some names, so those get a prefix: `from` arrives as `im_from`. */
const allowedData = (data: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(data).map(([name, value]) => [reserved.test(name) ? `im_${name}` : name, value]))

function outcomeOf(answer: HttpAnswer): Outcome {
  const { status, headers } = answer
  if (status === 200) return { kind: 'accepted', providerId: jsonOf<{ name: string }>(answer).name }
  const { error = {} } = jsonOf<ErrorAnswer>(answer) as ErrorAnswer
  const { details = [] } = error
  const code = details.find((one) => one['@type'] === fcmError)?.errorCode
  const reason = `${status} ${code ?? error.status ?? ''}`
  const retryAfterMs = retryAfterOf(headers['retry-after'])
  if (code === 'INVALID_ARGUMENT') {
    const isOurFault = details.some((one) => one['@type'] === badRequest && one.fieldViolations?.length)
    return outcome(isOurFault ? 'bad' : 'dead', reason)
  }
  if (code === 'UNAVAILABLE' && retryAfterMs !== undefined) return outcome('slow', reason, { retryAfterMs })
  const meaning = meaningOf(code)
  if (meaning) return outcome(meaning, reason, { retryAfterMs })
  if (status === 401) return outcome('stale-access', reason)
  if (status === 403) return outcome('credentials', reason)
  return statusOutcome(answer) ?? outcome('bad', reason)
}

function readAccount(text: string): ServiceAccount {
  const account = JSON.parse(text) as ServiceAccount
  const { client_email, private_key, project_id, token_uri } = account
  if (![client_email, private_key, project_id].every((value) => typeof value === 'string' && value))
    throw new Error('a member is missing')
  readPrivateKey(private_key)
  return { ...account, token_uri: token_uri || 'https://oauth2.googleapis.com/token' }
}

export const fcm = defineProvider({
  vendor: 'FCM',
  settings: {
    fcmServiceAccount: setting.optionalText({
      env: 'PUSH_FCM_SERVICE_ACCOUNT',
      secret: true,
      description: 'key of a Firebase service account: the whole JSON file',
    }),
    fcmChannel: setting.optionalText({
      env: 'PUSH_FCM_CHANNEL',
      description: 'notification channel of the Android app',
    }),
    fcmUrl: setting.url({
      env: 'PUSH_FCM_URL',
      default: 'https://fcm.googleapis.com',
      description: 'address of FCM',
    }),
  },
  needs: [['fcmServiceAccount']],
  check({ fcmServiceAccount = '' }) {
    try {
      readAccount(fcmServiceAccount)
      return []
    } catch {
      return ['PUSH_FCM_SERVICE_ACCOUNT must be JSON with client_email, private_key and project_id']
    }
  },
  create({ fcmServiceAccount = '', fcmChannel: channel, fcmUrl }, tools) {
    const account = readAccount(fcmServiceAccount)
    const key = readPrivateKey(account.private_key)
    const tokenUrl = new URL(account.token_uri)
    const oauth = tools.http(tokenUrl.origin)
    const renew = async () => {
      const seconds = Math.floor(tools.now() / 1000)
      const assertion = await new SignJWT({ scope })
        .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
        .setIssuer(account.client_email)
        .setAudience(account.token_uri)
        .setIssuedAt(seconds)
        .setExpirationTime(seconds + 3600)
        .sign(key)
      const form = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion })
      const answer = await oauth.postForm(tokenUrl.pathname, { body: form.toString() })
      return readAccess(answer)
    }
    const access = tools.access({ provider: 'fcm', credential: account.private_key, renew })
    return [new Fcm({ http: tools.http(fcmUrl), access, project: account.project_id, channel, now: tools.now })]
  },
})
