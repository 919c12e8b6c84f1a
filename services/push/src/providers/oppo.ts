import { createHash } from 'node:crypto'
import { setting } from '@im/service-kit'
import { type Access, type AccessToken, withAccess } from './access-token.ts'
import { cutText } from './cut-text.ts'
import { numberId, textId } from './derived-ids.ts'
import { codeOutcome, type HttpAnswer, type HttpClient, jsonOf } from './http-client.ts'
import { meanings, Refusal } from './outcomes.ts'
import type { Notification, Outcome, Provider, Target } from './provider.ts'
import { defineProvider } from './provider-definition.ts'

/** What `code` and `errorCode` mean. 32: it was taken before, by a call whose answer was lost. */
const meaningOf = meanings({
  accepted: [0, 32],
  dead: [10000],
  paused: [10001],
  slow: [-2, 13, 55],
  quota: [33],
  retry: [-1],
  'stale-access': [11],
  credentials: [12, 14, 15, 16, 17, 18, 19, 26, 27, 28, 29, 30],
  bad: [25, 31, 34, 40, 41, 51, 59, 67, 10002, 10003],
})

/** In characters. A text above the length of style 1 needs style 2. */
const [longestTitle, longestShort, longestText] = [50, 50, 128]
const longestLifeSeconds = 864_000
/** OPPO says so; the token's answer has no life. */
const accessLifeMs = 86_400_000

interface Answer {
  code: number
  message: string
  data: Record<string, unknown> | { registrationId?: string; errorCode?: number; messageId?: string }[]
}

/** The signature of the request for an access token. */
export const signOppo = (appKey: string, timestamp: number, masterSecret: string) =>
  createHash('sha256').update(`${appKey}${timestamp}${masterSecret}`).digest('hex')

interface OppoOptions {
  http: HttpClient
  access: AccessToken
  channel: string | undefined
  callChannel: string | undefined
  category: string | undefined
  callCategory: string | undefined
  notifyLevel: number | undefined
  now: () => number
}

/** OPPO Push (push-providers.md §7). */
class Oppo implements Provider {
  readonly name = 'oppo'
  readonly perCall = 1000
  readonly replaces = true
  readonly #options: OppoOptions

  constructor(options: OppoOptions) {
    this.#options = options
  }

  async send(notification: Notification, targets: readonly Target[], signal: AbortSignal): Promise<Outcome[]> {
    const { http, access } = this.#options
    const messages = targets.map((target) => this.#message(notification, target))
    const [path, name, content] =
      messages.length === 1
        ? ['/server/v1/message/notification/unicast', 'message', messages[0]]
        : ['/server/v1/message/notification/unicast_batch', 'messages', messages]
    return await withAccess(access, async (token) => {
      const body = new URLSearchParams({ auth_token: token, [name as string]: JSON.stringify(content) }).toString()
      return outcomesOf(await http.postForm(path as string, { body, signal }), targets)
    })
  }

  close(): Promise<void> {
    return this.#options.http.close()
  }

  #message({ id, title, body, kind, data, expiresAt }: Notification, { token }: Target): object {
    const { channel, callChannel, category, callCategory, notifyLevel, now } = this.#options
    const isCall = kind === 'call'
    const channelId = isCall ? (callChannel ?? channel) : channel
    const chosen = isCall ? (callCategory ?? category) : category
    const content = cutText(body, longestText)
    return {
      target_type: 2,
      target_value: token,
      notification: {
        app_message_id: textId(id, kind, token),
        style: content.length > longestShort ? 2 : 1,
        title: cutText(title, longestTitle),
        content,
        click_action_type: 0,
        action_parameters: JSON.stringify(data),
        off_line: true,
        off_line_ttl: Math.min(longestLifeSeconds, Math.max(1, Math.floor((expiresAt - now()) / 1000))),
        notify_id: numberId(id),
        ...(channelId ? { channel_id: channelId } : {}),
        ...(chosen ? { category: chosen, ...(notifyLevel ? { notify_level: notifyLevel } : {}) } : {}),
      },
    }
  }
}

function outcomesOf(answer: HttpAnswer, targets: readonly Target[]): Outcome[] {
  const { code, data } = jsonOf<Answer>(answer)
  const whole = codeOutcome(answer, code, meaningOf, targets.length)
  if (whole.kind !== 'accepted' || !Array.isArray(data)) return targets.map(() => whole)
  const errors = new Map(data.map(({ registrationId, errorCode }) => [registrationId, errorCode]))
  return targets.map(({ token }) => outcomeOf(answer, errors.get(token) ?? 0))
}

const outcomeOf = (answer: HttpAnswer, code: number | undefined) => codeOutcome(answer, code, meaningOf)

export const oppo = defineProvider({
  vendor: 'OPPO',
  settings: {
    oppoAppKey: setting.optionalText({ env: 'PUSH_OPPO_APP_KEY', description: 'AppKey of the app' }),
    oppoMasterSecret: setting.optionalText({
      env: 'PUSH_OPPO_MASTER_SECRET',
      secret: true,
      description: 'MasterSecret of the app (not its AppSecret)',
    }),
    oppoChannel: setting.optionalText({
      env: 'PUSH_OPPO_CHANNEL',
      description: 'channel id of messages, of the class 通讯与服务',
    }),
    oppoCallChannel: setting.optionalText({
      env: 'PUSH_OPPO_CALL_CHANNEL',
      description: 'channel id of calls; without it that of messages',
    }),
    oppoCategory: setting.optionalText({
      env: 'PUSH_OPPO_CATEGORY',
      description: 'class of messages, such as IM, once OPPO granted it; without it they count as marketing',
    }),
    oppoCallCategory: setting.optionalText({
      env: 'PUSH_OPPO_CALL_CATEGORY',
      description: 'class of calls; without it that of messages',
    }),
    oppoNotifyLevel: setting.choice(['1', '2', '16'], {
      env: 'PUSH_OPPO_NOTIFY_LEVEL',
      default: '2',
      description:
        'how messages of the class are shown: 1 in the bar, 2 also on the lock screen, 16 also as a banner with sound',
    }),
    oppoUrl: setting.url({
      env: 'PUSH_OPPO_URL',
      default: 'https://api.push.oppomobile.com',
      description: 'address of OPPO Push; https://api-intl.push.oppomobile.com outside China',
    }),
  },
  needs: [['oppoAppKey', 'oppoMasterSecret']],
  create(config, tools) {
    const { oppoAppKey: appKey = '', oppoMasterSecret: masterSecret = '', oppoUrl } = config
    const { now } = tools
    const http = tools.http(oppoUrl)
    const renew = async (): Promise<Access> => {
      const timestamp = now()
      const sign = signOppo(appKey, timestamp, masterSecret)
      const form = new URLSearchParams({ app_key: appKey, timestamp: String(timestamp), sign })
      const answer = await http.postForm('/server/v1/auth', { body: form.toString() })
      const { code, data } = jsonOf<Answer>(answer)
      const token = (data as { auth_token?: string } | undefined)?.auth_token
      if (code === 0 && token) return { token, lifeMs: accessLifeMs }
      throw new Refusal(outcomeOf(answer, code))
    }
    const options: OppoOptions = {
      http,
      access: tools.access({ provider: 'oppo', credential: `${appKey}:${masterSecret}`, renew }),
      channel: config.oppoChannel,
      callChannel: config.oppoCallChannel,
      category: config.oppoCategory,
      callCategory: config.oppoCallCategory,
      notifyLevel: Number(config.oppoNotifyLevel),
      now,
    }
    return [new Oppo(options)]
  },
})
