import { setTimeout as delay } from 'node:timers/promises'
import type { Endpoint } from '@im/contracts'
import { archive } from '@im/contracts/message'
import { companies } from '@im/contracts/org'
import { badges } from '@im/contracts/push'
import { roomMembers, rooms } from '@im/contracts/room'
import { friends, labels } from '@im/contracts/social'
import { profiles, userSettings } from '@im/contracts/user'
import type { TestClient } from '@im/service-kit/testing'

/** A call as its client saw it. Times are ms of performance.now(). */
export interface MadeCall {
  path: string
  beganAt: number
  ms: number
  /** 0: the connection broke, or no answer came. */
  resultCode: number
}

/** A call that can be made again and again. */
export interface RepeatedCall {
  path: string
  /** Resolves with the resultCode; rejects when there is no answer. */
  ask(): Promise<number>
}

/** Calls that only read and calls that write, of every service. Nobody sends one that writes a second time. */
export async function callsOf(
  { userId, token, peer }: { userId: number; token: string; peer: number },
  api: TestClient,
): Promise<RepeatedCall[]> {
  const options = { token }
  const { groupId } = await api.call(labels.addLabel, { groupName: '标签' }, options)
  const { id: companyId } = await api.call(companies.createCompany, { companyName: `公司 ${userId}` }, options)
  const { id: roomId } = await api.call(rooms.addRoom, { room: { name: '群' } } as object, options)
  let count = 0
  const repeated = (endpoint: Endpoint, params: () => object): RepeatedCall => ({
    path: endpoint.path,
    ask: async () => (await api.envelope(endpoint, params(), options)).resultCode,
  })
  return [
    repeated(profiles.getUser, () => ({ userId: peer })),
    repeated(userSettings.updateSettings, () => ({ isTyping: ++count % 2 })),
    repeated(friends.listFriends, () => ({})),
    repeated(labels.renameLabel, () => ({ groupId, groupName: `标签 ${++count}` })),
    repeated(rooms.listOwnRooms, () => ({})),
    repeated(roomMembers.setOwnSwitch, () => ({ roomId, offlineNoPushMsg: ++count % 2 })),
    repeated(companies.listOwnCompanies, () => ({})),
    repeated(companies.changeNotice, () => ({ companyId, noticeContent: `公告 ${++count}` })),
    repeated(archive.listSingleHistory, () => ({ receiver: peer, pageSize: 20 })),
    repeated(badges.setBadge, () => ({ num: ++count % 100 })),
  ]
}

/** Makes calls by the clock, whether those before are answered or not, until the signal aborts; resolves when all are. */
export async function makeCalls(options: {
  calls: readonly RepeatedCall[]
  perSecond: number
  made: MadeCall[]
  until: AbortSignal
}): Promise<void> {
  const { calls, perSecond, made, until } = options
  const open = new Set<Promise<void>>()
  const began = performance.now()
  for (let count = 0; !until.aborted; await delay(5)) {
    for (const due = ((performance.now() - began) / 1000) * perSecond; count < due; count++) {
      const call = makeCall(calls[count % calls.length]!, made).finally(() => open.delete(call))
      open.add(call)
    }
  }
  await Promise.all(open)
}

async function makeCall({ path, ask }: RepeatedCall, made: MadeCall[]): Promise<void> {
  const beganAt = performance.now()
  const resultCode = await ask().catch(() => 0)
  made.push({ path, beganAt, ms: performance.now() - beganAt, resultCode })
}
