import type { Logger } from '@im/service-kit'

export interface SmsMessage {
  /** Area code + number, digits only. */
  telephone: string
  areaCode: string
  phone: string
  code: string
  language: 'zh' | 'en'
}

/** Delivers codes. `send` rejects when the message was not taken, with SmsThrottledError when there were too many. */
export interface SmsProvider {
  send(message: SmsMessage): Promise<void>
}

/** What the cloud providers need. */
export interface CloudSmsSettings {
  key: { id: string; secret: string }
  signName: string
  templateOf(language: SmsMessage['language']): string
  /** Tencent only. */
  appId: string
  /** Tencent only. */
  region: string
  /** Another address than that of the provider. */
  url?: string
}

/** Writes codes to the log, for development. */
export function consoleSmsProvider(log: Logger): SmsProvider {
  return {
    async send({ telephone, code }) {
      log.info({ telephone }, `SMS code for ${telephone}: ${code}`)
    },
  }
}

/** For operators without a provider: every call for a code is answered with SmsSendFailed. */
export const noSmsProvider: SmsProvider = {
  async send() {
    throw new Error('SMS_PROVIDER is none')
  },
}

/**
 * Posts each code as JSON to a webhook of the operator:
 * `{"telephone":"8613800000001","areaCode":"86","phone":"13800000001","code":"123456","language":"zh"}`,
 * with `Authorization: Bearer <key>` when a key is set. Any 2xx answer within 5 s means taken.
 */
export function httpSmsProvider(options: { url: string; key?: string }): SmsProvider {
  return {
    async send(message) {
      const answer = await fetch(options.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(options.key ? { authorization: `Bearer ${options.key}` } : {}),
        },
        body: JSON.stringify(message),
        redirect: 'error',
        signal: AbortSignal.timeout(5000),
      })
      await answer.body?.cancel()
      if (!answer.ok) throw new Error(`the SMS webhook answered ${answer.status}`)
    },
  }
}
