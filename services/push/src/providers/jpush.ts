import { setting } from '@im/service-kit'
import { cutTitle, fitBytes } from './cut-text.ts'
import { uuidId } from './derived-ids.ts'
import { type HttpAnswer, type HttpClient, jsonOf, retryAfterOf, statusOutcome } from './http-client.ts'
import { meanings, outcome, tokenOutcome } from './outcomes.ts'
import type { Notification, Outcome, Provider, PushDevice, Target } from './provider.ts'
import { defineProvider } from './provider-definition.ts'

/** What `error.code` means. 1011 and 1003 depend on how many ids were sent. */
const meaningOf = meanings({
  slow: [2002],
  'quota-device': [1012, 2005],
  retry: [1000, 1030],
  credentials: [1004, 1008, 2003, 2004, 2006, 2007],
  bad: [1001, 1002, 1003, 1005, 1009, 1011, 1020],
})

/** In bytes, of a notification for both platforms. */
const longestMessage = { android: 4000, ios: 2000 }
const longestLifeSeconds = 864_000

interface Answer {
  msg_id: string | number
  error: { code?: number; message?: string }
}

interface JPushOptions {
  http: HttpClient
  appKey: string
  secret: string
  isProduction: boolean
  channel: string | undefined
  category: string | undefined
  now: () => number
}

/** JPush (极光), push-providers.md §12. */
class JPush implements Provider {
  readonly name = 'jpush'
  readonly perCall = 1000
  readonly replaces = false
  readonly #options: JPushOptions

  constructor(options: JPushOptions) {
    this.#options = options
  }

  async send(notification: Notification, targets: readonly Target[], signal: AbortSignal): Promise<Outcome[]> {
    const { http, appKey, secret } = this.#options
    const all = (one: Outcome) => targets.map(() => one)
    const platforms = (['android', 'ios'] as const).filter((platform) =>
      targets.some(({ device }) => device === platform),
    )
    const shown = this.#shown(notification, platforms)
    if (shown === undefined) return all(outcome('bad', 'data too long'))
    const tokens = targets.map(({ token }) => token)
    const body = {
      cid: `${appKey}-${uuidId(notification.id, notification.kind, ...tokens)}`,
      platform: platforms,
      audience: { registration_id: tokens },
      notification: JSON.parse(shown),
      options: this.#sending(notification),
    }
    const headers = { authorization: `Basic ${Buffer.from(`${appKey}:${secret}`).toString('base64')}` }
    return all(outcomeOf(await http.postJson('/v3/push', { headers, body, signal }), targets.length))
  }

  close(): Promise<void> {
    return this.#options.http.close()
  }

  #sending({ id, expiresAt }: Notification): object {
    const { isProduction, now } = this.#options
    return {
      time_to_live: Math.min(longestLifeSeconds, Math.max(0, Math.floor((expiresAt - now()) / 1000))),
      apns_production: isProduction,
      apns_collapse_id: id,
    }
  }

  #shown(
    { title, body, badge, isSilent, threadId, data }: Notification,
    platforms: readonly PushDevice[],
  ): string | undefined {
    const { channel, category } = this.#options
    const heading = cutTitle(title)
    const longest = platforms.includes('ios') ? longestMessage.ios : longestMessage.android
    return fitBytes(body, longest, (text) =>
      JSON.stringify({
        ...(platforms.includes('android') && {
          android: {
            title: heading,
            alert: text,
            extras: data,
            ...(isSilent ? { alert_type: 0 } : {}),
            ...(channel ? { channel_id: channel } : {}),
            ...(category ? { category } : {}),
          },
        }),
        ...(platforms.includes('ios') && {
          ios: {
            alert: { title: heading, body: text },
            'thread-id': threadId,
            extras: data,
            ...(isSilent ? {} : { sound: 'default' }),
            ...(badge === undefined ? {} : { badge }),
          },
        }),
      }),
    )
  }
}

function outcomeOf(answer: HttpAnswer, targets: number): Outcome {
  const { msg_id, error } = jsonOf<Answer>(answer)
  if (answer.status === 200 && msg_id !== undefined) return { kind: 'accepted', providerId: String(msg_id) }
  const { code, message = '' } = error ?? {}
  const isOfToken = code === 1011 || (code === 1003 && /registration_id .*invalid/.test(message))
  if (isOfToken) return tokenOutcome('dead', String(code), targets)
  const meaning = meaningOf(code)
  const resetMs = retryAfterOf(answer.headers['x-rate-limit-reset'])
  if (meaning) return outcome(meaning, String(code), resetMs ? { retryAfterMs: resetMs } : {})
  return statusOutcome(answer) ?? outcome('bad', `HTTP ${answer.status} ${code ?? ''}`)
}

export const jpush = defineProvider({
  vendor: 'JPush',
  settings: {
    jpushAppKey: setting.optionalText({ env: 'PUSH_JPUSH_APP_KEY', description: 'AppKey of the app' }),
    jpushSecret: setting.optionalText({
      env: 'PUSH_JPUSH_SECRET',
      secret: true,
      description: 'Master Secret of the app',
    }),
    jpushProduction: setting.flag({
      env: 'PUSH_JPUSH_PRODUCTION',
      default: true,
      description: 'false: the iOS app is a development build',
    }),
    jpushChannel: setting.optionalText({
      env: 'PUSH_JPUSH_CHANNEL',
      description: 'notification channel of the Android app',
    }),
    jpushCategory: setting.optionalText({
      env: 'PUSH_JPUSH_CATEGORY',
      description: 'class of messages for the channels of phone vendors, such as IM',
    }),
    jpushUrl: setting.url({
      env: 'PUSH_JPUSH_URL',
      default: 'https://api.jpush.cn',
      description: 'address of JPush; https://bjapi.push.jiguang.cn for apps of its Beijing site',
    }),
  },
  needs: [['jpushAppKey', 'jpushSecret']],
  create(config, tools) {
    const { jpushAppKey: appKey = '', jpushSecret: secret = '', jpushProduction: isProduction, jpushUrl } = config
    const { jpushChannel: channel, jpushCategory: category } = config
    const options = { http: tools.http(jpushUrl), appKey, secret, isProduction, channel, category, now: tools.now }
    return [new JPush(options)]
  },
})
