import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import { demand, GivenTokens, startVendorServer, type Vendor, type VendorAnswer, vendorParts } from './vendor.ts'

const [appKey, masterSecret] = ['oppo-key', 'oppo-master-secret']

const coded = (code: number, data: unknown = {}): VendorAnswer => ({ body: { code, message: `code ${code}`, data } })

interface Message {
  target_type: number
  target_value: string
  notification: {
    app_message_id: string
    style: number
    title: string
    content: string
    click_action_type: number
    action_parameters: string
    off_line: boolean
    off_line_ttl: number
    channel_id?: string
    category?: string
    notify_level?: number
    notify_id?: number
  }
}

/** OPPO Push: signed requests for tokens, one message or a batch, lengths by style, an id that is taken once. */
export async function startOppo(t: Test): Promise<Vendor> {
  const parts = vendorParts()
  const given = new GivenTokens()
  const taken = new Set<string>()

  function check({ target_type, target_value, notification }: Message): void {
    demand(target_type === 2 && target_value, 'target', coded(25))
    const { app_message_id, style, title, content, category, notify_level, off_line_ttl } = notification
    demand(/^[\w-]{1,64}$/.test(app_message_id), 'app_message_id', coded(25))
    demand(style === 1 || style === 2, 'style', coded(25))
    demand(title && title.length <= 50, 'title', coded(25))
    demand(content && content.length <= (style === 1 ? 50 : 128), 'content', coded(25))
    demand(
      JSON.parse(notification.action_parameters) && notification.action_parameters.length <= 4000,
      'data',
      coded(25),
    )
    demand(!notify_level || (category && [1, 2, 16].includes(notify_level)), 'notify_level', coded(67))
    demand(notification.off_line && Number.isInteger(off_line_ttl) && off_line_ttl <= 864_000, 'ttl', coded(25))
  }

  /** The code by which a call is refused because a token is in it. */
  function wholeCode(token: string): number | undefined {
    const script = parts.answers.get(token)
    return script?.startsWith('whole ') ? Number(script.slice(6)) : undefined
  }

  /** The code for one message. */
  function deliver({ target_value: token, notification }: Message): number {
    const script = parts.answers.get(token)
    if (script) return wholeCode(token) ?? Number(script)
    if (taken.has(notification.app_message_id)) return 32
    taken.add(notification.app_message_id)
    const { title, content: body, action_parameters, ...more } = notification
    parts.shown.push({ token, title, body, data: JSON.parse(action_parameters), more })
    return 0
  }

  const url = await startVendorServer(t, parts, {
    isSend: (path) => path !== '/server/v1/auth',
    answer(call) {
      demand(call.method === 'POST', 'method', { status: 405 })
      const form = call.form()
      if (call.path === '/server/v1/auth') {
        const { app_key, timestamp, sign } = form
        if (Math.abs(Date.now() - Number(timestamp)) > 600_000) return coded(19)
        if (app_key !== appKey) return coded(14)
        const right = createHash('sha256').update(`${appKey}${timestamp}${masterSecret}`).digest('hex')
        return sign === right ? coded(0, { auth_token: given.give(), create_time: Date.now() }) : coded(16)
      }
      if (!given.has(form['auth_token'])) return coded(11)
      if (call.path === '/server/v1/message/notification/unicast') {
        const message = JSON.parse(form['message'] ?? '') as Message
        check(message)
        const code = deliver(message)
        return code === 0 ? coded(0, { messageId: 'm1' }) : coded(code)
      }
      demand(call.path === '/server/v1/message/notification/unicast_batch', 'path', { status: 404 })
      const messages = JSON.parse(form['messages'] ?? '') as Message[]
      demand(messages.length >= 1 && messages.length <= 1000, 'batch', coded(41))
      for (const message of messages) check(message)
      const whole = messages.map(({ target_value }) => wholeCode(target_value)).find(Boolean)
      if (whole) return coded(whole)
      return coded(
        0,
        messages.map((message) => {
          const errorCode = deliver(message)
          const registrationId = message.target_value
          return errorCode ? { registrationId, errorCode, errorMessage: 'no' } : { registrationId, messageId: 'm1' }
        }),
      )
    },
  })
  const settings = (secret: string) => ({
    PUSH_OPPO_APP_KEY: appKey,
    PUSH_OPPO_MASTER_SECRET: secret,
    PUSH_OPPO_CHANNEL: 'im',
    PUSH_OPPO_CALL_CHANNEL: 'call',
    PUSH_OPPO_CATEGORY: 'IM',
    PUSH_OPPO_NOTIFY_LEVEL: '16',
    PUSH_OPPO_URL: url,
  })
  return {
    ...parts,
    provider: 'oppo',
    device: 'android',
    env: settings(masterSecret),
    wrongEnv: settings('wrong-secret'),
    token: (number) => `OPPO_CN_${number}`,
    deadCode: '10000',
    expireAccess: () => given.expire(),
  }
}
