import { readPrivateKey, setting } from '@im/service-kit'
import { SignJWT } from 'jose'
import { type AccessToken, withAccess } from './access-token.ts'
import { cutTitle, fitBytes } from './cut-text.ts'
import { numberId } from './derived-ids.ts'
import { type HttpAnswer, type HttpClient, jsonOf, retryAfterOf, statusOutcome } from './http-client.ts'
import { clientCredentials } from './oauth.ts'
import { meanings, outcome, tokenOutcome } from './outcomes.ts'
import type { Notification, Outcome, Provider, Target } from './provider.ts'
import { defineProvider } from './provider-definition.ts'

/** What `code` means for the whole call; 80100000 names the tokens that were refused. */
const meaningOf = meanings({
  accepted: ['80000000'],
  slow: ['80300029'],
  retry: ['81000001', '80600003'],
  'stale-access': ['80200003', '80200005'],
  credentials: ['80200001', '80300036', '80300002', '80300011', '80300037'],
  bad: [
    ...['80100001', '80100003', '80100004', '80100013', '80100016', '80100017', '80100018', '80100022'],
    ...['80300008', '80300010', '80300013', '80300030'],
  ],
})
const [someRefused, allInvalid] = ['80100000', '80300007']

/** Reasons of API v3 that are the token's; all others are the app's. */
const deadReasons = new Set(['tokenFormatError', 'tokenPlatformNotSupport'])

const longestMessage = 4096
const longestLifeSeconds = 1_296_000

interface Answer {
  code: string
  msg: string
}

interface MessageClass {
  category: string | undefined
  callCategory: string | undefined
}

const categoryOf = ({ category, callCategory }: MessageClass, { kind }: Notification) => {
  const chosen = kind === 'call' ? (callCategory ?? category) : category
  return chosen ? { category: chosen } : {}
}

const secondsLeft = ({ expiresAt }: Notification, now: number) =>
  Math.min(longestLifeSeconds, Math.max(1, Math.floor((expiresAt - now) / 1000)))

/** One generation of the API. */
interface Api {
  http: HttpClient
  access: AccessToken
  path: string
  headers: Record<string, string>
  /** The body without the tokens, at most 4096 bytes; undefined where that is impossible. */
  build(notification: Notification): string | undefined
  withTokens(body: object, tokens: readonly string[]): object
  /** Refused tokens and what their reasons mean, as `msg` of 80100000 names them. */
  refused(msg: string): Map<string, Outcome>
}

async function sendThrough(
  { http, access, path, headers, build, withTokens, refused }: Api,
  notification: Notification,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<Outcome[]> {
  const all = (one: Outcome) => targets.map(() => one)
  const built = build(notification)
  if (built === undefined) return all(outcome('bad', 'data too long'))
  const tokens = targets.map(({ token }) => token)
  const body = withTokens(JSON.parse(built), tokens)
  return await withAccess(access, async (token) => {
    const answer = await http.postJson(path, {
      headers: { authorization: `Bearer ${token}`, ...headers },
      body,
      signal,
    })
    const retryAfterMs = retryAfterOf(answer.headers['retry-after'])
    if (answer.status === 503) return all(outcome('slow', 'HTTP 503', { retryAfterMs }))
    const { code = '', msg = '' } = jsonOf<Answer>(answer)
    if (code === someRefused) {
      const named = refused(msg)
      return tokens.map((one) => named.get(one) ?? { kind: 'accepted' })
    }
    // It also comes for a wrong project, so it is believed of one token only.
    if (code === allInvalid) return all(tokenOutcome('dead', code, targets.length))
    return all(wholeOutcome(answer, code))
  })
}

function wholeOutcome(answer: HttpAnswer, code: string): Outcome {
  const meaning = meaningOf(code)
  if (meaning) return outcome(meaning, code)
  if (answer.status === 401 || answer.status === 404) return outcome('credentials', `HTTP ${answer.status} ${code}`)
  return statusOutcome(answer) ?? outcome('bad', `HTTP ${answer.status} ${code}`)
}

function refusedOfV2(msg: string): Map<string, Outcome> {
  const { illegal_tokens: illegal = [] } = JSON.parse(msg) as { illegal_tokens?: string[] }
  return new Map(illegal.map((token) => [token, outcome('dead', 'illegal token')]))
}

function refusedOfV3(msg: string): Map<string, Outcome> {
  const { illegalTokens = {} } = JSON.parse(msg) as { illegalTokens?: Record<string, string[]> }
  return new Map(
    Object.entries(illegalTokens).flatMap(([reason, tokens]) =>
      tokens.map((token): [string, Outcome] => [
        token,
        outcome(deadReasons.has(reason) ? 'dead' : 'credentials-token', reason),
      ]),
    ),
  )
}

/**
 * Huawei Push Kit (push-providers.md §5). API v1 or v2 reaches Android and HarmonyOS up to 4, v3 HarmonyOS 5 and later. Tokens do
 * not tell which, so with both a token that the older one does not know is asked about at v3.
 */
class Huawei implements Provider {
  readonly name = 'huawei'
  readonly perCall = 1000
  readonly replaces = true
  readonly #apis: readonly Api[]

  constructor(apis: readonly Api[]) {
    this.#apis = apis
  }

  async send(notification: Notification, targets: readonly Target[], signal: AbortSignal): Promise<Outcome[]> {
    let outcomes: Outcome[] | undefined
    for (const api of this.#apis) {
      const unknown = targets.filter((_, index) => !outcomes || outcomes[index]?.kind === 'dead')
      if (!unknown.length) break
      const found = await sendThrough(api, notification, unknown, signal)
      const next = found.values()
      outcomes = targets.map((_, index) => {
        const known = outcomes?.[index]
        return known && known.kind !== 'dead' ? known : (next.next().value as Outcome)
      })
    }
    return outcomes ?? []
  }

  async close(): Promise<void> {
    await Promise.all(this.#apis.map(({ http }) => http.close()))
  }
}

export const huawei = defineProvider({
  vendor: 'Huawei',
  settings: {
    huaweiClientId: setting.optionalText({ env: 'PUSH_HUAWEI_CLIENT_ID', description: 'OAuth client id of the app' }),
    huaweiClientSecret: setting.optionalText({
      env: 'PUSH_HUAWEI_CLIENT_SECRET',
      secret: true,
      description: 'OAuth client secret of the app',
    }),
    huaweiProjectId: setting.optionalText({
      env: 'PUSH_HUAWEI_PROJECT_ID',
      description: 'project of the app (v2, v3)',
    }),
    huaweiApi: setting.choice(['v1', 'v2'], {
      env: 'PUSH_HUAWEI_API',
      default: 'v2',
      description: 'API for Android and HarmonyOS up to 4',
    }),
    huaweiKeyId: setting.optionalText({
      env: 'PUSH_HUAWEI_KEY_ID',
      description: 'key of the service account; with it HarmonyOS 5 and later are reached through API v3',
    }),
    huaweiSubAccount: setting.optionalText({
      env: 'PUSH_HUAWEI_SUB_ACCOUNT',
      description: 'sub_account of the service account (v3)',
    }),
    huaweiPrivateKey: setting.optionalText({
      env: 'PUSH_HUAWEI_PRIVATE_KEY',
      secret: true,
      description: 'private key of the service account (v3), PEM or Base64',
    }),
    huaweiCategory: setting.optionalText({
      env: 'PUSH_HUAWEI_CATEGORY',
      description: 'class of messages, IM once Huawei granted it (自分类权益); without it they count as marketing',
    }),
    huaweiCallCategory: setting.optionalText({
      env: 'PUSH_HUAWEI_CALL_CATEGORY',
      description: 'class of calls, such as VOIP; without it that of messages',
    }),
    huaweiBadgeClass: setting.optionalText({
      env: 'PUSH_HUAWEI_BADGE_CLASS',
      description: 'entry activity of the Android app; without it the icon gets no number',
    }),
    huaweiUrl: setting.url({
      env: 'PUSH_HUAWEI_URL',
      default: 'https://push-api.cloud.huawei.com',
      description: 'address of Push Kit',
    }),
    huaweiOAuthUrl: setting.url({
      env: 'PUSH_HUAWEI_OAUTH_URL',
      default: 'https://oauth-login.cloud.huawei.com',
      description: 'address of the token endpoint, and what tokens of v3 are for',
    }),
  },
  needs: [
    ['huaweiClientId', 'huaweiClientSecret'],
    ['huaweiKeyId', 'huaweiSubAccount', 'huaweiPrivateKey', 'huaweiProjectId'],
  ],
  check({
    huaweiClientId,
    huaweiClientSecret,
    huaweiProjectId,
    huaweiApi,
    huaweiKeyId,
    huaweiSubAccount,
    huaweiPrivateKey,
  }) {
    const problems: string[] = []
    if (Boolean(huaweiClientId) !== Boolean(huaweiClientSecret))
      problems.push('PUSH_HUAWEI_CLIENT_ID and PUSH_HUAWEI_CLIENT_SECRET must be set together')
    if (huaweiClientId && huaweiApi === 'v2' && !huaweiProjectId)
      problems.push('PUSH_HUAWEI_PROJECT_ID must be set with PUSH_HUAWEI_API=v2')
    const ofV3 = [huaweiKeyId, huaweiSubAccount, huaweiPrivateKey].filter(Boolean).length
    if (ofV3 > 0 && (ofV3 < 3 || !huaweiProjectId))
      problems.push(
        'PUSH_HUAWEI_KEY_ID, PUSH_HUAWEI_SUB_ACCOUNT, PUSH_HUAWEI_PRIVATE_KEY and PUSH_HUAWEI_PROJECT_ID must be set together',
      )
    if (huaweiPrivateKey) {
      try {
        readPrivateKey(huaweiPrivateKey)
      } catch {
        problems.push('PUSH_HUAWEI_PRIVATE_KEY is no private key')
      }
    }
    return problems
  },
  create(config, tools) {
    const { huaweiClientId: id, huaweiClientSecret: secret, huaweiProjectId: project = '', huaweiApi } = config
    const {
      huaweiKeyId: kid,
      huaweiSubAccount: iss,
      huaweiPrivateKey: privateKey,
      huaweiBadgeClass: badgeClass,
    } = config
    const classes = { category: config.huaweiCategory, callCategory: config.huaweiCallCategory }
    const { now } = tools
    const tokenPath = '/oauth2/v3/token'
    const apis: Api[] = []
    if (id && secret) {
      const oauth = tools.http(config.huaweiOAuthUrl)
      const owner = huaweiApi === 'v1' ? id : project
      apis.push({
        http: tools.http(config.huaweiUrl),
        access: tools.access({
          provider: 'huawei',
          credential: `${id}:${secret}`,
          renew: () => clientCredentials(oauth, tokenPath, id, secret),
        }),
        path: `/${huaweiApi}/${encodeURIComponent(owner)}/messages:send`,
        headers: {},
        build: (notification) => buildV2(notification, { classes, badgeClass, now: now() }),
        withTokens: (body, token) => ({ validate_only: false, message: { ...body, token } }),
        refused: refusedOfV2,
      })
    }
    if (kid && iss && privateKey) {
      const key = readPrivateKey(privateKey)
      const renew = async () => {
        const seconds = Math.floor(now() / 1000)
        const token = await new SignJWT()
          .setProtectedHeader({ alg: 'PS256', typ: 'JWT', kid })
          .setIssuer(iss)
          .setAudience(`${config.huaweiOAuthUrl.replace(/\/+$/, '')}${tokenPath}`)
          .setIssuedAt(seconds)
          .setExpirationTime(seconds + 3600)
          .sign(key)
        return { token, lifeMs: 3_600_000 }
      }
      apis.push({
        http: tools.http(config.huaweiUrl),
        access: tools.access({ provider: 'huawei-v3', credential: `${kid}:${privateKey}`, renew }),
        path: `/v3/${encodeURIComponent(project)}/messages:send`,
        headers: { 'push-type': '0' },
        build: (notification) => buildV3(notification, { classes, now: now() }),
        withTokens: (body, token) => ({ ...body, target: { token } }),
        refused: refusedOfV3,
      })
    }
    return [new Huawei(apis)]
  },
})

interface BuildOptions {
  classes: MessageClass
  now: number
}

const buildV2 = (
  notification: Notification,
  { classes, badgeClass, now }: BuildOptions & { badgeClass: string | undefined },
) => {
  const { id, title, body, badge, isSilent, threadId, data } = notification
  return fitBytes(body, longestMessage, (text) =>
    JSON.stringify({
      data: JSON.stringify(data),
      android: {
        ...categoryOf(classes, notification),
        collapse_key: -1,
        ttl: `${secondsLeft(notification, now)}s`,
        notification: {
          title: cutTitle(title),
          body: text,
          notify_id: numberId(id),
          group: threadId,
          click_action: { type: 3 },
          default_sound: !isSilent,
          ...(badge !== undefined && badgeClass ? { badge: { set_num: Math.min(badge, 99), class: badgeClass } } : {}),
        },
      },
    }),
  )
}

const buildV3 = (notification: Notification, { classes, now }: BuildOptions) => {
  const { id, title, body, badge, data } = notification
  return fitBytes(body, longestMessage, (text) =>
    JSON.stringify({
      payload: {
        notification: {
          ...categoryOf(classes, notification),
          title: cutTitle(title),
          body: text,
          notifyId: numberId(id),
          clickAction: { actionType: 0, data },
          ...(badge === undefined ? {} : { badge: { setNum: Math.min(badge, 99) } }),
        },
      },
      pushOptions: { testMessage: false, ttl: secondsLeft(notification, now) },
    }),
  )
}
