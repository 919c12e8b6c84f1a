import { setting } from '@im/service-kit'
import { type AccessToken, withAccess } from './access-token.ts'
import { cutTitle, fitBytes } from './cut-text.ts'
import { numberId } from './derived-ids.ts'
import { codeOutcome, type HttpAnswer, type HttpClient, jsonOf } from './http-client.ts'
import { clientCredentials } from './oauth.ts'
import { meanings, outcome } from './outcomes.ts'
import type { Notification, Outcome, Provider, Target } from './provider.ts'
import { defineProvider } from './provider-definition.ts'

/** What `code` means, as far as it is known: little of Honor's table is public. 80100000: only some tokens were taken. */
const meaningOf = meanings({ accepted: [200, 80100000] })

const longestMessage = 4096
const longestLifeSeconds = 1_296_000

interface Answer {
  code: number
  message: string
  data: { requestId?: string; failTokens?: string[]; expireTokens?: string[] }
}

interface HonorOptions {
  http: HttpClient
  access: AccessToken
  appId: string
  badgeClass: string | undefined
  now: () => number
}

/** Honor Push (push-providers.md §10). */
class Honor implements Provider {
  readonly name = 'honor'
  readonly perCall = 1000
  readonly replaces = true
  readonly #options: HonorOptions

  constructor(options: HonorOptions) {
    this.#options = options
  }

  async send(notification: Notification, targets: readonly Target[], signal: AbortSignal): Promise<Outcome[]> {
    const { http, access, appId, now } = this.#options
    const built = this.#body(notification)
    if (built === undefined) return targets.map(() => outcome('bad', 'data too long'))
    const body = { ...JSON.parse(built), token: targets.map(({ token }) => token) }
    return await withAccess(access, async (token) => {
      const headers = { authorization: `Bearer ${token}`, timestamp: String(now()) }
      const path = `/api/v1/${encodeURIComponent(appId)}/sendMessage`
      const answer = await http.postJson(path, { headers, body, signal })
      const { code, data = {} } = jsonOf<Answer>(answer)
      const whole = wholeOutcome(answer, code)
      const dead = new Set(data.expireTokens)
      const failed = new Set(data.failTokens)
      return targets.map((to) => {
        if (dead.has(to.token)) return outcome('dead', 'expireTokens')
        return failed.has(to.token) ? outcome('bad', 'failTokens') : whole
      })
    })
  }

  close(): Promise<void> {
    return this.#options.http.close()
  }

  #body({ id, title, body, badge, threadId, data, expiresAt }: Notification): string | undefined {
    const { badgeClass, now } = this.#options
    const seconds = Math.min(longestLifeSeconds, Math.max(1, Math.floor((expiresAt - now()) / 1000)))
    return fitBytes(body, longestMessage, (text) =>
      JSON.stringify({
        data: JSON.stringify(data),
        android: {
          ttl: `${seconds}s`,
          notification: {
            title: cutTitle(title),
            body: text,
            importance: 'NORMAL',
            notifyId: numberId(id),
            group: threadId,
            clickAction: { type: 3 },
            ...(badge !== undefined && badgeClass ? { badge: { setNum: Math.min(badge, 99), badgeClass } } : {}),
          },
        },
      }),
    )
  }
}

function wholeOutcome(answer: HttpAnswer, code: number | undefined): Outcome {
  if (answer.status === 401 && !meaningOf(code)) return outcome('stale-access', `HTTP 401 ${code ?? ''}`)
  return codeOutcome(answer, code, meaningOf)
}

export const honor = defineProvider({
  vendor: 'Honor',
  settings: {
    honorAppId: setting.optionalText({ env: 'PUSH_HONOR_APP_ID', description: 'app id' }),
    honorClientId: setting.optionalText({ env: 'PUSH_HONOR_CLIENT_ID', description: 'OAuth client id of the app' }),
    honorClientSecret: setting.optionalText({
      env: 'PUSH_HONOR_CLIENT_SECRET',
      secret: true,
      description: 'OAuth client secret of the app',
    }),
    honorBadgeClass: setting.optionalText({
      env: 'PUSH_HONOR_BADGE_CLASS',
      description: 'entry activity of the app; without it the icon gets no number',
    }),
    honorUrl: setting.url({
      env: 'PUSH_HONOR_URL',
      default: 'https://push-api.cloud.honor.com',
      description: 'address of Honor Push',
    }),
    honorOAuthUrl: setting.url({
      env: 'PUSH_HONOR_OAUTH_URL',
      default: 'https://iam.developer.honor.com',
      description: 'address of the token endpoint',
    }),
  },
  needs: [['honorAppId', 'honorClientId', 'honorClientSecret']],
  create(config, tools) {
    const { honorAppId: appId = '', honorClientId: id = '', honorClientSecret: secret = '' } = config
    const oauth = tools.http(config.honorOAuthUrl)
    const renew = () => clientCredentials(oauth, '/auth/token', id, secret)
    const access = tools.access({ provider: 'honor', credential: `${id}:${secret}`, renew })
    const { honorBadgeClass: badgeClass } = config
    return [new Honor({ http: tools.http(config.honorUrl), access, appId, badgeClass, now: tools.now })]
  },
})
