import { setting } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import { cutText } from './cut-text.ts'
import { numberId, textId } from './derived-ids.ts'
import { codeOutcome, type HttpClient, jsonOf } from './http-client.ts'
import { meanings, outcome } from './outcomes.ts'
import type { Notification, Outcome, Provider, Target } from './provider.ts'
import { defineProvider } from './provider-definition.ts'

/** What `code` means. 20301 is left out: it means that all ids are bad, or only that nothing was sent. */
const meaningOf = meanings({
  accepted: [0],
  dead: [10029],
  slow: [10027, 10002],
  quota: [10034, 200001],
  retry: [10001, 10003, 10037],
  credentials: [21301, 21302, 21303, 22000, 22006, 22007, 22022, 27001, 10012, 10031, 10036],
  bad: [10008, 10016, 10017, 21305, 26006, 65009, 65014, 65015],
})
const notSent = 20301

/** Both must be below 50 and 128. In characters. */
const [longestTitle, longestText] = [49, 127]
const longestLifeMs = 86_400_000

interface Answer {
  result: string
  code: number
  data: { id?: string; bad_regids?: string }
}

interface XiaomiOptions {
  http: HttpClient
  secret: string
  packageName: string
  channel: string | undefined
  callChannel: string | undefined
  now: () => number
}

/** Xiaomi MiPush (push-providers.md §6). */
class Xiaomi implements Provider {
  readonly name = 'xiaomi'
  readonly perCall = 1000
  readonly replaces = true
  readonly #options: XiaomiOptions
  /** Tokens (hashed) that got 20301 last time. */
  readonly #unsent = new LRUCache<string, true>({ max: 10_000 })

  constructor(options: XiaomiOptions) {
    this.#options = options
  }

  async send(notification: Notification, targets: readonly Target[], signal: AbortSignal): Promise<Outcome[]> {
    const { http, secret } = this.#options
    const body = new URLSearchParams(this.#fields(notification, targets)).toString()
    const headers = { authorization: `key=${secret}` }
    const answer = await http.postForm('/v3/message/regid', { headers, body, signal })
    const { code, data = {} } = jsonOf<Answer>(answer)
    const bad = new Set(data.bad_regids?.split(',').filter(Boolean))
    return targets.map(({ token }) => {
      if (bad.has(token)) return outcome('dead', `bad_regids ${code}`)
      if (code === notSent) return this.#notSent(token, targets.length)
      this.#unsent.delete(textId(token))
      if (meaningOf(code) === 'accepted') return { kind: 'accepted', providerId: data.id }
      return codeOutcome(answer, code, meaningOf, targets.length)
    })
  }

  close(): Promise<void> {
    return this.#options.http.close()
  }

  /** Of one id, when it happens twice in a row, it is believed to mean that the id is bad. */
  #notSent(token: string, targets: number): Outcome {
    const key = textId(token)
    if (targets > 1) return { kind: 'unclear', reason: `${notSent}` }
    if (this.#unsent.delete(key)) return outcome('dead', `${notSent} twice`)
    this.#unsent.set(key, true)
    return outcome('bad', `${notSent}`)
  }

  #fields(notification: Notification, targets: readonly Target[]): Record<string, string> {
    const { packageName, channel, callChannel, now } = this.#options
    const { id, title, body, badge, isSilent, kind, data, expiresAt } = notification
    const channelId = kind === 'call' ? (callChannel ?? channel) : channel
    return {
      registration_id: targets.map(({ token }) => token).join(','),
      restricted_package_name: packageName,
      pass_through: '0',
      title: cutText(title, longestTitle),
      description: cutText(body, longestText),
      // The form encodes it once more: MiPush wants both.
      payload: encodeURIComponent(JSON.stringify(data)),
      notify_type: isSilent ? '0' : '-1',
      time_to_live: String(Math.min(longestLifeMs, Math.max(1000, expiresAt - now()))),
      notify_id: String(numberId(id)),
      'extra.notify_effect': '1',
      'extra.notify_foreground': '1',
      ...(badge === undefined ? {} : { 'extra.badge': String(badge) }),
      ...(channelId ? { 'extra.channel_id': channelId } : {}),
    }
  }
}

export const xiaomi = defineProvider({
  vendor: 'Xiaomi',
  settings: {
    xiaomiSecret: setting.optionalText({
      env: 'PUSH_XIAOMI_SECRET',
      secret: true,
      description: 'AppSecret of the app',
    }),
    xiaomiPackage: setting.optionalText({ env: 'PUSH_XIAOMI_PACKAGE', description: 'package name of the app' }),
    xiaomiChannel: setting.optionalText({
      env: 'PUSH_XIAOMI_CHANNEL',
      description:
        'channel id of private messages (私信) from the console; without it messages are public ones and limited',
    }),
    xiaomiCallChannel: setting.optionalText({
      env: 'PUSH_XIAOMI_CALL_CHANNEL',
      description: 'channel id of calls; without it that of messages',
    }),
    xiaomiUrl: setting.url({
      env: 'PUSH_XIAOMI_URL',
      default: 'https://api.xmpush.xiaomi.com',
      description: 'address of MiPush; another one outside China',
    }),
  },
  needs: [['xiaomiSecret', 'xiaomiPackage']],
  create(config, tools) {
    const { xiaomiSecret: secret = '', xiaomiPackage: packageName = '', xiaomiUrl } = config
    const { xiaomiChannel: channel, xiaomiCallChannel: callChannel } = config
    return [new Xiaomi({ http: tools.http(xiaomiUrl), secret, packageName, channel, callChannel, now: tools.now })]
  },
})
