import { createHash } from 'node:crypto'
import { setting } from '@im/service-kit'
import { cutTitle, fitBytes } from './cut-text.ts'
import { codeOutcome, type HttpAnswer, type HttpClient, jsonOf } from './http-client.ts'
import { meanings, outcome } from './outcomes.ts'
import type { Notification, Outcome, Provider, Target } from './provider.ts'
import { defineProvider } from './provider-definition.ts'

/** What `error_code` means (from an SDK of 2.0, the only public table). */
const meaningOf = meanings({
  dead: [30608],
  slow: [30604],
  retry: [30600],
  credentials: [30603, 30606, 30607],
  bad: [30601, 30602, 30605, 30609, 30610],
})

const longestMessage = 4096
const longestLifeSeconds = 604_800
const path = '/rest/3.0/push/single_device'
/** Baidu's numbers of device types, which are the other way round than those that apps register with. */
const deviceTypes = { android: '3', ios: '4' } as const
/** Calls with another name are refused. */
const userAgent = 'BCCS_SDK/3.0 (Linux) Node.js/24 (Baidu Push Server SDK V3.0.0)'

interface Answer {
  error_code: number
  response_params: { msg_id?: string }
}

/** As PHP's urlencode: a blank becomes `+`, and only `-`, `_` and `.` stay. */
export const phpUrlEncode = (text: string): string =>
  encodeURIComponent(text)
    .replace(/[!'()*~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')

/** The signature of a form for the whole address. */
export function signBaidu(url: string, form: Readonly<Record<string, string>>, secret: string): string {
  const pairs = Object.keys(form)
    .sort()
    .map((name) => `${name}=${form[name]}`)
  return createHash('md5')
    .update(phpUrlEncode(`POST${url}${pairs.join('')}${secret}`))
    .digest('hex')
}

interface Keys {
  apiKey: string
  secret: string
}

interface BaiduOptions {
  http: HttpClient
  /** Each platform is an application of its own. */
  keys: { android?: Keys; ios?: Keys }
  isProduction: boolean
  channelType: string | undefined
  now: () => number
}

/** Baidu Cloud Push 3.0 (push-providers.md §11). */
class Baidu implements Provider {
  readonly name = 'baidu'
  readonly perCall = 1
  readonly replaces = false
  readonly #options: BaiduOptions

  constructor(options: BaiduOptions) {
    this.#options = options
  }

  async send(notification: Notification, [target]: readonly [Target], signal: AbortSignal): Promise<Outcome[]> {
    const { http, keys, isProduction, channelType, now } = this.#options
    const device = target.device === 'ios' ? 'ios' : 'android'
    const pair = keys[device]
    if (!pair) return [outcome('bad', `no keys for ${device}`)]
    const msg = device === 'ios' ? iosMessage(notification) : androidMessage(notification)
    if (msg === undefined) return [outcome('bad', 'data too long')]
    const seconds = Math.min(longestLifeSeconds, Math.max(0, Math.floor((notification.expiresAt - now()) / 1000)))
    const form: Record<string, string> = {
      apikey: pair.apiKey,
      timestamp: String(Math.floor(now() / 1000)),
      device_type: deviceTypes[device],
      channel_id: target.token,
      msg_type: '1',
      msg,
      msg_expires: String(seconds),
      ...(device === 'ios' ? { deploy_status: isProduction ? '2' : '1' } : {}),
      ...(device === 'android' && channelType ? { channel_type: channelType } : {}),
    }
    const body = new URLSearchParams({ ...form, sign: signBaidu(http.urlOf(path), form, pair.secret) }).toString()
    return [outcomeOf(await http.postForm(path, { headers: { 'user-agent': userAgent }, body, signal }))]
  }

  close(): Promise<void> {
    return this.#options.http.close()
  }
}

const androidMessage = ({ title, body, data }: Notification) =>
  fitBytes(body, longestMessage, (text) =>
    JSON.stringify({ title: cutTitle(title), description: text, custom_content: data }),
  )

const iosMessage = ({ title, body, badge, isSilent, threadId, data }: Notification) =>
  fitBytes(body, longestMessage, (text) =>
    JSON.stringify({
      ...data,
      aps: {
        alert: { title: cutTitle(title), body: text },
        ...(isSilent ? {} : { sound: 'default' }),
        ...(badge === undefined ? {} : { badge }),
        'thread-id': threadId,
      },
    }),
  )

function outcomeOf(answer: HttpAnswer): Outcome {
  const { error_code: code, response_params: params } = jsonOf<Answer>(answer)
  if (answer.status === 200 && !code) return { kind: 'accepted', providerId: String(params?.msg_id ?? '') }
  return codeOutcome(answer, code, meaningOf)
}

export const baidu = defineProvider({
  vendor: 'Baidu',
  settings: {
    baiduAndroidKey: setting.optionalText({ env: 'PUSH_BAIDU_ANDROID_KEY', description: 'API key of the Android app' }),
    baiduAndroidSecret: setting.optionalText({
      env: 'PUSH_BAIDU_ANDROID_SECRET',
      secret: true,
      description: 'secret key of the Android app',
    }),
    baiduIosKey: setting.optionalText({ env: 'PUSH_BAIDU_IOS_KEY', description: 'API key of the iOS app' }),
    baiduIosSecret: setting.optionalText({
      env: 'PUSH_BAIDU_IOS_SECRET',
      secret: true,
      description: 'secret key of the iOS app',
    }),
    baiduIosProduction: setting.flag({
      env: 'PUSH_BAIDU_IOS_PRODUCTION',
      default: true,
      description: 'false: the iOS app is a development build',
    }),
    baiduChannelType: setting.optionalText({
      env: 'PUSH_BAIDU_CHANNEL_TYPE',
      description: '1: messages go through the IM channels of Xiaomi and OPPO phones, once they are set up at Baidu',
    }),
    baiduUrl: setting.url({
      env: 'PUSH_BAIDU_URL',
      default: 'https://api.tuisong.baidu.com',
      description: 'address of Baidu Cloud Push',
    }),
  },
  needs: [
    ['baiduAndroidKey', 'baiduAndroidSecret'],
    ['baiduIosKey', 'baiduIosSecret'],
  ],
  check({ baiduAndroidKey, baiduAndroidSecret, baiduIosKey, baiduIosSecret }) {
    const problems: string[] = []
    if (Boolean(baiduAndroidKey) !== Boolean(baiduAndroidSecret))
      problems.push('PUSH_BAIDU_ANDROID_KEY and PUSH_BAIDU_ANDROID_SECRET must be set together')
    if (Boolean(baiduIosKey) !== Boolean(baiduIosSecret))
      problems.push('PUSH_BAIDU_IOS_KEY and PUSH_BAIDU_IOS_SECRET must be set together')
    return problems
  },
  create(config, tools) {
    const { baiduAndroidKey, baiduAndroidSecret, baiduIosKey, baiduIosSecret, baiduUrl } = config
    // A blank behind a secret that was pasted makes every signature wrong.
    const pair = (apiKey?: string, secret?: string) =>
      apiKey && secret ? { apiKey, secret: secret.trim() } : undefined
    return [
      new Baidu({
        http: tools.http(baiduUrl),
        keys: { android: pair(baiduAndroidKey, baiduAndroidSecret), ios: pair(baiduIosKey, baiduIosSecret) },
        isProduction: config.baiduIosProduction,
        channelType: config.baiduChannelType,
        now: tools.now,
      }),
    ]
  },
})
