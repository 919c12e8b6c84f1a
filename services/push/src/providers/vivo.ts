import { createHash } from 'node:crypto'
import { setting } from '@im/service-kit'
import { type Access, type AccessToken, withAccess } from './access-token.ts'
import { cutText, dataText } from './cut-text.ts'
import { numberId, textId } from './derived-ids.ts'
import { codeOutcome, type HttpAnswer, type HttpClient, jsonOf } from './http-client.ts'
import { meanings, outcome, Refusal } from './outcomes.ts'
import type { Notification, Outcome, Provider, Target } from './provider.ts'
import { defineProvider } from './provider-definition.ts'

/** What `result` means. Codes that only one public source names are taken as that source reads them. */
const meaningOf = meanings({
  accepted: [0],
  dead: [10302, 10054],
  slow: [10072],
  quota: [10070, 10073, 10252, 10254],
  retry: [10040],
  'stale-access': [10000],
  credentials: [10094],
  bad: [10085, 10104, 10096, 10097, 10071],
})
/** `status` of invalid users: not existing, and uninstalled or unsubscribed. 4 is no test device. */
const deadStatuses = new Set([1, 2])

/** vivo counts a Chinese character twice. */
const [longestTitle, longestText] = [40, 100]
const longestData = 1000
const [shortestLifeSeconds, longestLifeSeconds] = [60, 86_400]
/** It is good for a day, and vivo wants it renewed every one or two hours. */
const accessLifeMs = 7_200_000

interface InvalidUser {
  userid?: string
  status?: number
}

interface Answer {
  result: number
  desc: string
  authToken: string
  taskId: string
  invalidUser: InvalidUser
  invalidUsers: InvalidUser[]
}

/** The signature of the request for an access token. */
export const signVivo = (appId: string, appKey: string, timestamp: number, appSecret: string) =>
  createHash('md5').update(`${appId}${appKey}${timestamp}${appSecret}`).digest('hex')

interface VivoOptions {
  http: HttpClient
  access: AccessToken
  appId: string
  category: string
  callCategory: string
  now: () => number
}

/** vivo Push (push-providers.md §8). */
class Vivo implements Provider {
  readonly name = 'vivo'
  readonly perCall = 1000
  readonly replaces = true
  readonly #options: VivoOptions

  constructor(options: VivoOptions) {
    this.#options = options
  }

  async send(notification: Notification, targets: readonly Target[], signal: AbortSignal): Promise<Outcome[]> {
    const { appId, access } = this.#options
    const [first] = targets as readonly [Target]
    const tokens = targets.map(({ token }) => token)
    const requestId = textId(notification.id, notification.kind, ...tokens)
    const message = this.#message(notification)
    return await withAccess(access, async (authToken) => {
      const post = (path: string, body: object) => this.#post(path, { appId, ...body }, authToken, signal)
      if (targets.length === 1)
        return outcomesOf(await post('/message/send', { ...message, regId: first.token, requestId }), targets)
      const saved = await post('/message/saveListPayload', { ...message, requestId })
      const { taskId } = jsonOf<Answer>(saved)
      if (!taskId) return outcomesOf(saved, targets)
      return outcomesOf(await post('/message/pushToList', { regIds: tokens, taskId, requestId }), targets)
    })
  }

  close(): Promise<void> {
    return this.#options.http.close()
  }

  #post(path: string, body: object, authToken: string, signal: AbortSignal): Promise<HttpAnswer> {
    return this.#options.http.postJson(path, { headers: { authToken }, body, signal })
  }

  #message({ id, title, body, isSilent, kind, data, expiresAt }: Notification): object {
    const { category, callCategory, now } = this.#options
    const seconds = Math.floor((expiresAt - now()) / 1000)
    return {
      notifyType: isSilent ? 1 : 4,
      title: cutText(title, longestTitle, 'wide'),
      content: cutText(body, longestText, 'wide'),
      timeToLive: Math.min(longestLifeSeconds, Math.max(shortestLifeSeconds, seconds)),
      skipType: 1,
      networkType: -1,
      classification: 1,
      category: kind === 'call' ? callCategory : category,
      clientCustomMap: { data: dataText(data, longestData) },
      notifyId: numberId(id),
      pushMode: 0,
    }
  }
}

function outcomesOf(answer: HttpAnswer, targets: readonly Target[]): Outcome[] {
  const { result, invalidUser, invalidUsers = [] } = jsonOf<Answer>(answer)
  const whole = codeOutcome(answer, result, meaningOf, targets.length)
  const named = [...invalidUsers, ...(invalidUser ? [invalidUser] : [])]
  const statuses = new Map(named.map(({ userid, status }) => [userid, status]))
  return targets.map(({ token }) => {
    const status = statuses.get(token)
    if (status === undefined) return whole
    return outcome(deadStatuses.has(status) ? 'dead' : 'bad', `invalid user ${status}`)
  })
}

const outcomeOf = (answer: HttpAnswer, result: number | undefined) => codeOutcome(answer, result, meaningOf)

export const vivo = defineProvider({
  vendor: 'vivo',
  settings: {
    vivoAppId: setting.optionalText({ env: 'PUSH_VIVO_APP_ID', description: 'appId of the app' }),
    vivoAppKey: setting.optionalText({ env: 'PUSH_VIVO_APP_KEY', description: 'appKey of the app' }),
    vivoAppSecret: setting.optionalText({
      env: 'PUSH_VIVO_APP_SECRET',
      secret: true,
      description: 'appSecret of the app',
    }),
    vivoCategory: setting.text({
      env: 'PUSH_VIVO_CATEGORY',
      default: 'IM',
      description: 'class of messages (系统消息); vivo grants it to the app',
    }),
    vivoCallCategory: setting.text({ env: 'PUSH_VIVO_CALL_CATEGORY', default: 'IM', description: 'class of calls' }),
    vivoUrl: setting.url({
      env: 'PUSH_VIVO_URL',
      default: 'https://api-push.vivo.com.cn',
      description: 'address of vivo Push',
    }),
  },
  needs: [['vivoAppId', 'vivoAppKey', 'vivoAppSecret']],
  create(config, tools) {
    const { vivoAppId: appId = '', vivoAppKey: appKey = '', vivoAppSecret: secret = '', vivoUrl } = config
    const { now } = tools
    const http = tools.http(vivoUrl)
    const renew = async (): Promise<Access> => {
      const timestamp = now()
      const sign = signVivo(appId, appKey, timestamp, secret.trim())
      const answer = await http.postJson('/message/auth', { body: { appId, appKey, timestamp, sign } })
      const { result, authToken } = jsonOf<Answer>(answer)
      if (result === 0 && authToken) return { token: authToken, lifeMs: accessLifeMs }
      const refused = outcomeOf(answer, result)
      throw new Refusal(refused.kind === 'bad' ? outcome('credentials', `auth ${result}`) : refused)
    }
    const access = tools.access({ provider: 'vivo', credential: `${appId}:${appKey}:${secret}`, renew })
    const { vivoCategory: category, vivoCallCategory: callCategory } = config
    return [new Vivo({ http, access, appId, category, callCategory, now })]
  },
})
