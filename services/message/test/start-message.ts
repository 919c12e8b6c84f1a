import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startService } from '@im/service-kit/testing'
import type { Test } from 'tap'
import type { Deps } from '../src/deps.ts'
import { service } from '../src/service.ts'
import { domain, secret, XmppServer } from './xmpp-server.ts'

export const alice = 10000001
export const bob = 10000002
export const carol = 10000003

export interface FakeContact {
  exists?: 0 | 1
  status?: number
  allowGreet?: 0 | 1
  userType?: number
  multipleDevices?: 0 | 1
  nickname?: string
}

/** Answers `/internal/users/contact` as the user service does, over real HTTP. */
async function startUserService() {
  const contacts = new Map<number, FakeContact>()
  const state = { contacts, calls: 0, away: false }
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    state.calls++
    if (state.away) return void response.destroy()
    const { userId } = JSON.parse(body) as { userId: number }
    const contact = {
      exists: 1,
      status: 1,
      userType: 0,
      allowGreet: 1,
      multipleDevices: 1,
      nickname: `n${userId}`,
      ...contacts.get(userId),
    }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ currentTime: Date.now(), resultCode: 1, data: contact }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => server.close(),
  })
}

/** The message service on real stores, with an XMPP server of the tests and everything cleaned up afterwards. */
export async function startMessage(
  t: Test,
  options: { env?: Record<string, string>; overrides?: Partial<Deps>; xmpp?: XmppServer } = {},
) {
  const xmpp = options.xmpp ?? (await XmppServer.start())
  const user = await startUserService()
  const env = {
    USER_URL: user.url,
    XMPP_DOMAIN: domain,
    XMPP_COMPONENT_URL: xmpp.url,
    XMPP_COMPONENT_SECRET: secret,
    ...options.env,
  }
  const running = await startService(t, service, { env, overrides: options.overrides })
  t.after(async () => {
    await xmpp.close()
    user.close()
  })
  return { ...running, api: running.internal, xmpp, user, db: running.deps.db }
}
