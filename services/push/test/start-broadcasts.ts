import { ContractError, type Endpoint } from '@im/contracts'
import { serverMessages } from '@im/contracts/message'
import { internalBroadcasts } from '@im/contracts/push'
import { internalRelations } from '@im/contracts/social'
import { internalUsers, ordinaryUsers } from '@im/contracts/user'
import { eventually, startService, stub, stubServices } from '@im/service-kit/testing'
import { ObjectId } from 'mongodb'
import type { Test } from 'tap'
import { service } from '../src/service.ts'

export const news = 10_000_900

interface Sent {
  userId: number
  messageId: string
  type: number
  content: string
}

/** Users and fans with consecutive ids, and a message service that stores each message once and can be made to fail. */
export function startNeighbours(t: Test) {
  const state = {
    fans: new Set<number>(),
    users: new Set<number>(),
    isAccount: true,
    isLocked: false,
    isGone: false,
    /** What was sent, each message once. */
    sent: [] as Sent[],
    /** Messages that came again. */
    again: 0,
    calls: 0,
    /** Receivers of each call. */
    sizes: [] as number[],
    /** Runs before the next receivers are told. */
    beforePage: async (): Promise<void> => {},
    /** Runs before a part is taken. */
    before: async (_userIds: number[]): Promise<void> => {},
    /** Runs after it was taken and before the answer. */
    after: async (): Promise<void> => {},
  }
  const stored = new Set<string>()
  const idsAbove = (ids: Set<number>, after: number, size: number) =>
    [...ids]
      .filter((id) => id > after)
      .sort((a, b) => a - b)
      .slice(0, size)
  const url = stubServices(t, { serviceKeys: ['test-service-key'], callerKeys: ['test-caller-key'] }, [
    stub(internalRelations.pageFans, async (_, { params: { after, pageSize } }) => {
      await state.beforePage()
      const { isAccount, fans } = state
      return { userIds: isAccount ? idsAbove(fans, after, pageSize) : [], isAccount: isAccount ? 1 : 0 }
    }),
    stub(ordinaryUsers.pageOrdinaryUsers, (_, { params: { after, pageSize } }) => ({
      userIds: idsAbove(state.users, after, pageSize),
      total: state.users.size,
    })),
    stub(internalUsers.getContact, (_, { params: { userId } }) => ({
      ...{
        exists: userId === 404 || state.isGone ? 0 : 1,
        status: state.isLocked ? -1 : 1,
        userType: userId === news ? 2 : 0,
      },
      ...{ allowGreet: 1, multipleDevices: 1, nickname: userId === news ? 'News' : 'x' },
    })),
    stub(serverMessages.sendToUsers, async (_, { params: { receivers, type, content } }) => {
      state.calls++
      state.sizes.push(receivers.length)
      await state.before(receivers.map(({ userId }) => userId))
      let known = 0
      for (const { userId, messageId } of receivers) {
        if (stored.has(messageId)) known++
        else state.sent.push({ userId, messageId, type, content })
        stored.add(messageId)
      }
      state.again += known
      await state.after()
      return { sent: receivers.length - known, known }
    }),
  ])
  return { state, url }
}

export type Neighbours = Awaited<ReturnType<typeof startNeighbours>>

/** The push service beside them. Further replicas share the `neighbours` and the environment of the first. */
export async function startPush(
  t: Test,
  {
    pace = 100_000,
    neighbours = startNeighbours(t),
    env = {},
  }: { pace?: number; neighbours?: Neighbours; env?: Record<string, string> } = {},
) {
  const url = await neighbours.url
  const running = await startService(t, service, {
    env: { LIMIT_FACTOR: '0', USER_URL: url, SOCIAL_URL: url, MESSAGE_URL: url, BROADCAST_PACE: String(pace), ...env },
  })
  const { internal, deps } = running
  const as = { userId: news, sessionId: 's', device: 'mp', kind: 'mp' } as const
  const get = async (id: string) =>
    (await deps.broadcasts.repository.page(undefined, 0, 100)).rows.find(({ _id }) => _id.toHexString() === id)
  return {
    ...running,
    neighbours: neighbours.state,
    as,
    /** A broadcast of the account to its fans. Returns its id. */
    async broadcast(content = 'hello', id = new ObjectId().toHexString()): Promise<string> {
      const about = { fromUserId: news, fromUserName: 'News', type: 1, until: 0, of: neighbours.state.fans.size }
      return (await internal.call(internalBroadcasts.createBroadcast, { id, content, ...about })).id
    },
    get,
    async ended(id: string, deadline = 20_000) {
      return await eventually(async () => {
        const found = await get(id)
        return found && (found.state === 'done' || found.state === 'canceled') ? found : undefined
      }, deadline)
    },
  }
}

/** An endpoint whose path has the parameter `op`. */
export const withOp = <E extends Endpoint>(endpoint: E, op: string): E => ({
  ...endpoint,
  path: endpoint.path.replace(':op', op),
})

export const fill = (ids: Set<number>, count: number, first = 10_000_001): void => {
  for (let n = 0; n < count; n++) ids.add(first + n)
}

export const away = () => {
  throw new ContractError('ServiceUnavailable')
}
