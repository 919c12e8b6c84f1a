import { createHash } from 'node:crypto'
import { setting } from '@im/service-kit'
import { cutText } from './cut-text.ts'
import { textId } from './derived-ids.ts'
import { codeOutcome, type HttpClient, jsonOf } from './http-client.ts'
import { meanings, outcome } from './outcomes.ts'
import type { Notification, Outcome, Provider, Target } from './provider.ts'
import { defineProvider } from './provider-definition.ts'

/** What the code of the whole answer means. */
const meaningOf = meanings({
  accepted: [200],
  dead: [110002, 110003],
  slow: [1003, 110010],
  quota: [110019],
  retry: [500, 1001],
  credentials: [1006, 110000, 110001, 110031, 110033, 110009],
  bad: [1005, 110004, 110032, 110051, 110053],
})

/** What the codes inside `value` mean, under which tokens stand. 110010 is another thing here than above. */
const tokenMeaningOf = meanings({
  dead: [110002, 110003],
  'slow-device': [519, 520],
  'quota-device': [110011],
  paused: [110010, 201],
  retry: [501, 513],
  bad: [110005],
})

/** In characters. */
const [longestTitle, longestText, keyLength] = [32, 100, 8]
const longestLifeHours = 72

interface Answer {
  code: string
  msgId: string
  value: Record<string, string[]>
}

/** The signature of a form: over its values as they are, not as they are encoded. */
export function signMeizu(form: Readonly<Record<string, string>>, secret: string): string {
  const pairs = Object.keys(form)
    .sort()
    .map((name) => `${name}=${form[name]}`)
  return createHash('md5')
    .update(`${pairs.join('')}${secret}`)
    .digest('hex')
}

interface MeizuOptions {
  http: HttpClient
  appId: string
  secret: string
  messageType: number
  now: () => number
}

/** Meizu Flyme Push (push-providers.md §9). */
class Meizu implements Provider {
  readonly name = 'meizu'
  readonly perCall = 100
  readonly replaces = true
  readonly #options: MeizuOptions

  constructor(options: MeizuOptions) {
    this.#options = options
  }

  async send(notification: Notification, targets: readonly Target[], signal: AbortSignal): Promise<Outcome[]> {
    const { http, appId, secret } = this.#options
    const form = {
      appId,
      pushIds: targets.map(({ token }) => token).join(','),
      messageJson: JSON.stringify(this.#message(notification)),
    }
    const body = new URLSearchParams({ ...form, sign: signMeizu(form, secret) }).toString()
    const answer = await http.postForm('/garcia/api/server/push/varnished/pushByPushId', { body, signal })
    const { code, value } = jsonOf<Answer>(answer)
    const whole = codeOutcome(answer, code, meaningOf, targets.length)
    const refused = new Map(
      Object.entries(value ?? {}).flatMap(([reason, tokens]) =>
        tokens.map((token): [string, Outcome] => [token, outcome(tokenMeaningOf(reason) ?? 'bad', reason)]),
      ),
    )
    return targets.map(({ token }) => refused.get(token) ?? whole)
  }

  close(): Promise<void> {
    return this.#options.http.close()
  }

  #message({ id, title, body, isSilent, data, expiresAt }: Notification): object {
    const { messageType, now } = this.#options
    const hours = Math.ceil((expiresAt - now()) / 3_600_000)
    const alert = isSilent ? 0 : 1
    return {
      noticeBarInfo: {
        noticeMsgType: messageType,
        noticeBarType: 0,
        title: cutText(title, longestTitle),
        content: cutText(body, longestText),
      },
      clickTypeInfo: { clickType: 0, parameters: data },
      pushTimeInfo: { offLine: 1, validTime: Math.min(longestLifeHours, Math.max(1, hours)) },
      advanceInfo: {
        notificationType: { vibrate: alert, lights: alert, sound: alert },
        notifyKey: textId(id).slice(0, keyLength),
      },
    }
  }
}

export const meizu = defineProvider({
  vendor: 'Meizu',
  settings: {
    meizuAppId: setting.optionalText({ env: 'PUSH_MEIZU_APP_ID', description: 'AppId of the app' }),
    meizuSecret: setting.optionalText({ env: 'PUSH_MEIZU_SECRET', secret: true, description: 'AppSecret of the app' }),
    meizuMessageType: setting.choice(['0', '1'], {
      env: 'PUSH_MEIZU_MESSAGE_TYPE',
      default: '1',
      description: 'class of messages: 1 private (私信), 0 public (公信), which is limited',
    }),
    meizuUrl: setting.url({
      env: 'PUSH_MEIZU_URL',
      default: 'https://server-api-push.meizu.com',
      description: 'address of Flyme Push',
    }),
  },
  needs: [['meizuAppId', 'meizuSecret']],
  create({ meizuAppId: appId = '', meizuSecret: secret = '', meizuMessageType, meizuUrl }, tools) {
    const options = { http: tools.http(meizuUrl), appId, secret, messageType: Number(meizuMessageType), now: tools.now }
    return [new Meizu(options)]
  },
})
