import { createHash } from 'node:crypto'
import type { Test } from 'tap'
import { demand, GivenTokens, startVendorServer, type Vendor, type VendorAnswer, vendorParts } from './vendor.ts'

const [appId, appKey, appSecret] = ['10004', '25509283-3767-4b9e-83fe-b6e55ac6243e', 'vivo-secret']

const coded = (result: number, more: object = {}): VendorAnswer => ({
  body: { result, desc: `result ${result}`, ...more },
})

/** A Chinese character counts twice, so does every other that is not ASCII. */
const width = (text: string) => [...text].reduce((sum, character) => sum + (character <= '\u007f' ? 1 : 2), 0)

interface Message {
  appId: string
  regId?: string
  regIds?: string[]
  taskId?: string
  requestId: string
  notifyType: number
  title: string
  content: string
  timeToLive: number
  skipType: number
  classification: number
  category: string
  clientCustomMap: Record<string, string>
  pushMode: number
  notifyId: number
}

/** vivo Push: signed requests for tokens, single messages and lists, request ids that are taken once, lengths, classes. */
export async function startVivo(t: Test): Promise<Vendor> {
  const parts = vendorParts()
  const given = new GivenTokens()
  const taken = new Set<string>()
  const saved = new Map<string, Message>()

  function check(message: Message): void {
    demand(typeof message.requestId === 'string' && /^.{1,64}$/.test(message.requestId), 'requestId', coded(10085))
    demand([1, 2, 3, 4].includes(message.notifyType), 'notifyType', coded(10085))
    demand(message.title && width(message.title) <= 40, 'title', coded(10085))
    demand(message.content && width(message.content) <= 100, 'content', coded(10085))
    demand(message.timeToLive >= 60 && message.timeToLive <= 86_400, 'timeToLive', coded(10085))
    demand(message.classification === 1 && message.category === message.category?.toUpperCase(), 'class', coded(10097))
    demand(['IM', 'ACCOUNT'].includes(message.category), 'category', coded(10096))
    demand(message.skipType === 1, 'skipType', coded(10085))
    const map = Object.entries(message.clientCustomMap)
    demand(map.length <= 10 && map.every(([, value]) => value.length <= 1024), 'clientCustomMap', coded(10085))
    demand(message.pushMode === 0, 'only test devices get it', coded(10085))
    demand(Number.isInteger(message.notifyId), 'notifyId', coded(10085))
  }

  function show(token: string, message: Message): void {
    if (taken.has(`${message.requestId}:${token}`)) return
    taken.add(`${message.requestId}:${token}`)
    const { title, content: body, clientCustomMap, ...more } = message
    parts.shown.push({ token, title, body, data: JSON.parse(clientCustomMap['data'] ?? ''), more })
  }

  const url = await startVendorServer(t, parts, {
    isSend: (path) => path === '/message/send' || path === '/message/pushToList',
    answer(call) {
      demand(call.method === 'POST', 'method', { status: 405 })
      demand(call.headers['content-type']?.startsWith('application/json'), 'type', { status: 415 })
      const body = call.json() as unknown as Message & { appKey: string; timestamp: number; sign: string }
      if (call.path === '/message/auth') {
        const sign = createHash('md5').update(`${appId}${appKey}${body.timestamp}${appSecret}`).digest('hex')
        demand(Math.abs(Date.now() - body.timestamp) <= 600_000, 'timestamp', coded(10205))
        if (body.appId !== appId || body.appKey !== appKey || body.sign !== sign) return coded(10202)
        return coded(0, { authToken: given.give() })
      }
      // A list is saved in a call of its own, which is no call for an access token.
      if (call.path === '/message/saveListPayload') parts.calls.access--
      if (!given.has(String(call.headers['authtoken']))) return coded(10000)
      if (body.appId !== appId) return coded(10094)
      if (call.path === '/message/send') {
        check(body)
        const script = parts.answers.get(body.regId ?? '')
        if (script === 'user 1' || script === 'user 2')
          return coded(0, { taskId: 't', invalidUser: { userid: body.regId, status: Number(script.slice(-1)) } })
        if (script) return coded(Number(script))
        show(body.regId ?? '', body)
        return coded(0, { taskId: 't' })
      }
      if (call.path === '/message/saveListPayload') {
        check(body)
        const taskId = `list-${saved.size}`
        saved.set(taskId, body)
        return coded(0, { taskId })
      }
      demand(call.path === '/message/pushToList', 'path', { status: 404 })
      const { regIds = [], taskId = '' } = body
      const message = saved.get(taskId)
      demand(message && regIds.length >= 2 && regIds.length <= 1000, 'regIds', coded(10085))
      const scripts = regIds.map((token) => parts.answers.get(token))
      const whole = scripts.find((script) => script && !script.startsWith('user') && script !== '10302')
      if (whole) return coded(Number(whole))
      const invalidUsers = regIds.flatMap((userid, index) => (scripts[index] ? [{ userid, status: 1 }] : []))
      for (const [index, token] of regIds.entries()) if (!scripts[index]) show(token, message)
      return coded(0, { invalidUsers })
    },
  })
  const settings = (secret: string) => ({
    PUSH_VIVO_APP_ID: appId,
    PUSH_VIVO_APP_KEY: appKey,
    PUSH_VIVO_APP_SECRET: secret,
    PUSH_VIVO_URL: url,
  })
  return {
    ...parts,
    provider: 'vivo',
    device: 'android',
    env: settings(appSecret),
    wrongEnv: settings('wrong-secret'),
    token: (number) => `v2-vivo-${number}`,
    deadCode: 'user 2',
    expireAccess: () => given.expire(),
  }
}
