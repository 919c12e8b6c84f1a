import type { Caller, EventType, Payload } from '@im/contracts'
import { accounts, type ServerConfig } from '@im/contracts/user'
import { type Bus, connectBus, createLogger, readCaller } from '@im/service-kit'
import { recordEvents, startService } from '@im/service-kit/testing'
import type { Test } from 'tap'
import { changeConfig } from '../src/config/change-config.ts'
import type { Deps } from '../src/deps.ts'
import { service } from '../src/service.ts'
import { tokenId } from '../src/sessions/tokens.ts'
import { startPeers } from './start-peers.ts'

export { readCaller }

/** md5("123456"), everybody's password unless a story says otherwise. */
export const md5Of123456 = 'e10adc3949ba59abbe56e057f20f883e'

export interface Person {
  userId: number
  phone: string
  token: string
  caller: Caller
}

/** Cheap hashes keep the stories quick; password-hasher.test.ts runs the real parameters. */
const quick = { LIMIT_FACTOR: '0', ARGON2_MEMORY_KIB: '64', ARGON2_PASSES: '1' }

/** The user service on real stores, in a namespace of its own, with a clock that can be set forward. */
export async function startUser(t: Test, env: Record<string, string> = {}, overrides: Partial<Deps> = {}) {
  let ahead = 0
  const now = () => Date.now() + ahead
  const peers = await startPeers(t, 'test-service-key')
  const {
    url,
    env: settings,
    api,
    internal,
    deps,
  } = await startService(t, service, {
    env: { ...quick, ...peers.env, ...env },
    overrides: { now, ...overrides },
  })
  const closing: (() => Promise<unknown>)[] = []
  t.after(async () => {
    for (const close of closing.reverse()) await close()
  })

  const callerOf = (token: string, userId: number, device = 'android'): Caller => ({
    userId,
    device,
    kind: 'user',
    sessionId: tokenId(token),
  })

  let phones = 13_900_000_000
  const nextPhone = () => String(++phones)

  return {
    url,
    env: settings,
    deps,
    api,
    internal,
    peers,
    nextPhone,
    callerOf,
    /** Lets the service believe that so much time has passed. */
    passSeconds(seconds: number) {
      ahead += seconds * 1000
    },
    /** Registers somebody on an Android phone. */
    async person(nickname: string, more: Record<string, string | number> = {}): Promise<Person> {
      const phone = nextPhone()
      const params = { telephone: phone, password: '123456', nickname, serial: `serial-${nickname}`, ...more }
      const { userId, access_token: token } = await api.call(accounts.register, params)
      return { userId, phone, token, caller: callerOf(token, userId) }
    },
    /** Changes the configuration as the console will. */
    async configure(values: Partial<ServerConfig>) {
      await changeConfig(deps, values)
    },
    /** A connection of another service to the same bus. */
    async otherBus(): Promise<Bus> {
      const log = createLogger({ service: 'observer', level: 'error', format: 'json' })
      const { NATS_URL: url = 'nats://127.0.0.1:4222', NAMESPACE: namespace = '' } = settings
      const bus = await connectBus({ url, namespace, replicas: 1, service: 'observer', log })
      closing.push(() => bus.close())
      return bus
    },
    /** Everything of one event that is published from now on and was before. */
    events<E extends EventType>(event: E): Promise<Payload<E>[]> {
      return recordEvents(t, settings, event)
    },
  }
}

/** A form as a client of OAuth sends it: answers with documents and HTTP status codes. */
export async function postForm(
  url: string,
  path: string,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Record<string, unknown> }> {
  const answer = await fetch(url + path, { method: 'POST', headers, body: new URLSearchParams(fields) })
  const text = await answer.text()
  return { status: answer.status, body: text ? (JSON.parse(text) as Record<string, unknown>) : {} }
}
