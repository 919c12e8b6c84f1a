import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  firstUserId,
  settingsChanged,
  systemUserId,
  telephoneChanged,
  userDeleted,
  userRegistered,
  userUpdated,
} from '@im/contracts/user'
import { eventPublisher, eventually, startService } from '@im/service-kit/testing'
import type { Test } from 'tap'
import type { Deps } from '../src/deps.ts'
import { service } from '../src/service.ts'

export interface FakeUser {
  userId: number
  nickname: string
  userType: number
  telephone?: { areaCode: string; number: string }
  allowAtt: number
  friendsVerify: number
  friendFromList: string
  chatRecordTimeOut: number
  phoneSearch: number
  registeredAt: number
  /** -1: locked. */
  status?: number
}

/** Answers what the user and message services are asked, over real HTTP. */
export async function startNeighbours() {
  const users = new Map<number, FakeUser>()
  const state = {
    users,
    /** What a user and a peer have written, by `<user>:<peer>`. */
    talks: new Map<string, { unread: number; lastTalkTime: number }>(),
    /** Paths that were asked. */
    asked: [] as string[],
    isAway: false,
    /** Called when an answer is ready and not sent yet. */
    beforeAnswer: async (_path: string): Promise<void> => {},
    /** What else is answered, by path. */
    answers: {} as Record<string, (params: never) => unknown>,
  }
  const answers: Record<string, (params: Record<string, unknown>) => unknown> = {
    '/internal/users/friend-rules': ({ userIds }) => ({
      users: (userIds as number[]).flatMap((userId) => users.get(userId) ?? []),
    }),
    '/internal/users/by-telephones': ({ telephones }) => ({
      users: [...users.values()].flatMap(({ userId, telephone, phoneSearch, registeredAt }) => {
        const key = telephone && `${telephone.areaCode}:${telephone.number}`
        return phoneSearch && key && (telephones as string[]).includes(key)
          ? [{ telephone: key, userId, registeredAt }]
          : []
      }),
    }),
    '/internal/users/cards': ({ userIds }) => ({ cards: (userIds as number[]).flatMap((id) => cardOf(users.get(id))) }),
    '/internal/users/contact': ({ userId }) => {
      const { nickname = '', userType = 0, status = 1 } = users.get(userId as number) ?? {}
      const exists = users.has(userId as number) ? 1 : 0
      return { exists, status, userType, nickname, allowGreet: 1, multipleDevices: 1 }
    },
    '/internal/users/page': () => ({
      rows: [...users.values()].map(({ userId, nickname, userType, registeredAt }) => ({
        ...{ aggregate: String(userId), sequence: 0 },
        data: { userId, nickname, userType, account: nickname, telephone: '', locked: false, registeredAt },
      })),
    }),
    '/internal/messages/talks': ({ userId, peers }) => ({
      talks: [...state.talks].flatMap(([key, talk]) => {
        const [user, peer] = key.split(':').map(Number)
        const isAsked = user === userId && (peers === undefined || (peers as number[]).includes(peer!))
        return isAsked ? [{ peer, ...talk }] : []
      }),
    }),
  }
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const path = request.url ?? ''
    state.asked.push(path)
    if (state.isAway) return void response.destroy()
    const data = { ...answers, ...state.answers }[path]?.(JSON.parse(body) as never)
    await state.beforeAnswer(path)
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ currentTime: Date.now(), resultCode: data ? 1 : 1020105, data }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  })
}

const noRegion = { countryId: 0, provinceId: 0, cityId: 0, areaId: 0 }

export const cardOf = (user: FakeUser | undefined) => {
  if (!user) return []
  const { userId, nickname, userType, registeredAt } = user
  const account = { userId, account: nickname, username: nickname, nickname, userType, createTime: registeredAt }
  const texts = { description: '', headImg: '', headThumImg: '' }
  return [{ ...account, ...texts, ...noRegion, sex: 1, age: 0, birthday: 0, status: 1, onlinestate: 0 }]
}

export function addUser(
  users: Map<number, FakeUser>,
  userId: number,
  nickname: string,
  rules: Partial<FakeUser>,
): FakeUser {
  const number = String(13_800_000_000 + (userId % 1e6))
  const user: FakeUser = {
    ...{ userId, nickname, userType: 0, telephone: { areaCode: '86', number } },
    ...{ allowAtt: 1, friendsVerify: 1, friendFromList: '1,2,3,4,5', chatRecordTimeOut: -1, phoneSearch: 1 },
    ...{ registeredAt: 1_700_000_000 },
    ...rules,
  }
  users.set(userId, user)
  return user
}

/** The social service on real stores, beside services that answer for users and messages, and publish at `natsOfOthers`. */
export async function startSocial(
  t: Test,
  env: Record<string, string> = {},
  overrides: Partial<Deps> = {},
  natsOfOthers?: string,
) {
  const others = await startNeighbours()
  t.after(async () => others.close())
  let lastUserId = firstUserId - 1
  const add = (userId: number, nickname: string, rules: Partial<FakeUser>) =>
    addUser(others.users, userId, nickname, rules)
  add(systemUserId, '系统消息', { userType: 2, telephone: undefined })
  const running = await startService(t, service, {
    env: { LIMIT_FACTOR: '0', USER_URL: others.url, MESSAGE_URL: others.url, PUSH_URL: others.url, ...env },
    overrides,
  })
  const publish = eventPublisher(t, { ...running.env, ...(natsOfOthers ? { NATS_URL: natsOfOthers } : {}) })
  const { people, relations } = running.deps
  return {
    ...running,
    others,
    publish,
    /** Registers somebody who asks for consent, and waits until this service knows of them. */
    async person(nickname: string, rules: Partial<FakeUser> & { defaultFriends?: number[] } = {}): Promise<number> {
      const { defaultFriends = [], ...own } = rules
      const { userId, userType, telephone, registeredAt } = add(++lastUserId, nickname, own)
      await publish(userRegistered, userId, {
        ...{ userId, nickname, account: nickname, userType, defaultFriends, registeredAt },
        telephone: telephone ? telephone.areaCode + telephone.number : '',
      })
      await eventually(async () => (await people.isKnown(userId)) && (await relations.byId(userId, systemUserId)))
      return userId
    },
    /** Changes what a user allows. */
    allow(userId: number, rules: Partial<FakeUser>): void {
      Object.assign(others.users.get(userId) ?? {}, rules)
    },
    /** The same as a user does it, who is found by their number or not. */
    async letBeFound(userId: number, phoneSearch: 0 | 1): Promise<void> {
      Object.assign(others.users.get(userId) ?? {}, { phoneSearch })
      const values = { multipleDevices: 1, allowGreet: 1, at: Date.now() }
      await publish(settingsChanged, userId, { userId, changed: ['phoneSearch'], ...values })
    },
    async changeNumber(userId: number, number: string): Promise<void> {
      Object.assign(others.users.get(userId) ?? {}, { telephone: { areaCode: '86', number } })
      await publish(telephoneChanged, userId, { userId, at: Date.now() })
    },
    async rename(userId: number, nickname: string): Promise<void> {
      Object.assign(others.users.get(userId) ?? {}, { nickname })
      await publish(userUpdated, userId, { userId, nickname, account: nickname, updatedAt: Date.now() })
    },
    async erase(userId: number): Promise<void> {
      const nickname = others.users.get(userId)?.nickname ?? ''
      others.users.delete(userId)
      await publish(userDeleted, userId, { userId, nickname, at: Date.now() })
    },
  }
}
