import { randomBytes } from 'node:crypto'
import { ContractError, type Payload } from '@im/contracts'
import { messageArchived, type messagesPassed, pushedMessages } from '@im/contracts/message'
import { replayedRooms } from '@im/contracts/room'
import { replayedRelations } from '@im/contracts/social'
import { internalUsers, replayedUsers } from '@im/contracts/user'
import { eventPublisher, eventually, startService, stub, stubServices, testEnv } from '@im/service-kit/testing'
import type { Test } from 'tap'
import type { Deps } from '../src/deps.ts'
import type { Channel, Channels, Delivery, Notification, ProviderName, Target } from '../src/providers/provider.ts'
import { service } from '../src/service.ts'

export const alice = 10_000_001
export const bob = 10_000_002
export const carol = 10_000_003

export interface SentPush extends Notification {
  provider: ProviderName
  token: string
}

/** Providers that take everything, unless a test says what becomes of a token. */
export class RecordedChannels implements Channels {
  readonly sent: SentPush[] = []
  /** Providers that are not configured. */
  readonly missing = new Set<ProviderName>()
  answer: (token: string, notification: Notification) => Delivery | Promise<Delivery> = () => ({ kind: 'accepted' })

  of(name: ProviderName): Channel {
    return {
      ...{ name, isConfigured: !this.missing.has(name), replaces: name !== 'baidu' },
      send: (notification: Notification, targets: readonly Target[]) =>
        Promise.all(
          targets.map(async ({ token }) => {
            const delivery = await this.answer(token, notification)
            if (delivery.kind === 'accepted') this.sent.push({ provider: name, token, ...notification })
            return delivery
          }),
        ),
    }
  }

  async close() {}

  /** What was shown on a device, in order. */
  on = (token: string) => this.sent.filter((sent) => sent.token === token)
}

type Row<T> = { aggregate: string; sequence: number; data: T }

/** The services that push asks, as far as it asks them. */
export function neighbours() {
  return {
    /** Contents by messageId; a message without one was recalled. */
    texts: new Map<string, { text?: string; mentioned?: number[]; mentionsAll?: boolean; recalled?: string[] }>(),
    present: new Set<number>(),
    /** Messages that nobody has confirmed, by the receiver. */
    unconfirmed: new Map<number, Payload<typeof messageArchived>['messages']>(),
    unconfirmedCalls: new Map<number, Payload<typeof messagesPassed>['messages']>(),
    /** Ids of messages in rooms that the last stream of a user has missed. */
    missedInRooms: new Map<number, string[]>(),
    /** The message service is of a build that does not know what was not confirmed. */
    isOld: false,
    users: new Map([
      [alice, 'alice'],
      [bob, 'bob'],
      [carol, 'carol'],
    ]),
    relations: [] as Row<{ low: number; high: number; ofLow?: object; ofHigh?: object }>[],
    rooms: [] as Row<{ roomId: string; jid: string; name: string; dissolved: boolean; members: object[] }>[],
    /** Paths that were asked. */
    asked: [] as string[],
    isAway: false,
  }
}

export type Neighbours = ReturnType<typeof neighbours>

export async function startNeighbours(
  t: Test,
  state: Neighbours,
  env: Record<string, string>,
  stubs: readonly ReturnType<typeof stub>[] = [],
): Promise<string> {
  const keys = {
    serviceKeys: [env['SERVICE_KEY'] ?? 'development-service-key'],
    callerKeys: ['development-caller-key'],
  }
  const asked = <T>(path: string, answer: () => T): T => {
    state.asked.push(path)
    if (state.isAway) throw new Error('away')
    return answer()
  }
  return await stubServices(t, keys, [
    ...stubs,
    stub(pushedMessages.getPushTexts, (_, { params }) =>
      asked('texts', () => ({
        texts: params.messages.map(({ messageId }) => {
          const known = state.texts.get(messageId)
          const { text = '', mentioned = [], mentionsAll = false, recalled = [] } = known ?? {}
          return { isThere: known !== undefined, text, mentioned, mentionsAll, recalled }
        }),
      })),
    ),
    stub(pushedMessages.getPresent, (_, { params }) =>
      asked('present', () => ({ userIds: params.userIds.filter((userId) => state.present.has(userId)) })),
    ),
    stub(pushedMessages.getUnconfirmed, (_, { params }) =>
      asked('unconfirmed', () => {
        if (state.isOld) throw new ContractError('UnknownEndpoint')
        return {
          messages: params.userIds
            .flatMap((userId) => state.unconfirmed.get(userId) ?? [])
            .filter(({ arrivedAt }) => arrivedAt > params.since),
          passed: params.userIds.flatMap((userId) => state.unconfirmedCalls.get(userId) ?? []),
          inRooms: params.userIds.flatMap((userId) => {
            const messageIds = state.missedInRooms.get(userId)
            return messageIds ? [{ userId, messageIds }] : []
          }),
        }
      }),
    ),
    stub(replayedUsers.pageUsers, () => ({
      rows: [...state.users].map(([userId, nickname]) => ({
        ...{ aggregate: String(userId), sequence: 0 },
        data: {
          ...{ userId, nickname, account: nickname, telephone: '', userType: 0, locked: false, registeredAt: 0 },
          offlineNoPushMsg: 0,
        },
      })),
    })),
    stub(replayedRelations.pageRelations, () => ({ rows: state.relations as never })),
    stub(replayedRooms.pageRooms, () => ({ rows: state.rooms as never })),
    stub(internalUsers.getContacts, (_, { params }) =>
      asked('contacts', () => ({
        contacts: params.userIds.map((userId) => ({
          ...{ userId, exists: state.users.has(userId) ? 1 : 0, status: 1, userType: 0, allowGreet: 1 },
          ...{ multipleDevices: 1, nickname: state.users.get(userId) ?? '' },
        })),
      })),
    ),
  ])
}

/** The push service on real stores, with its neighbours and providers in the test's hands. */
export async function startPush(
  t: Test,
  options: {
    env?: Record<string, string>
    prepare?: (state: Neighbours) => void
    overrides?: Partial<Deps>
    /** Providers are those of the environment, and `channels` stays empty. */
    realProviders?: boolean
    stubs?: ReturnType<typeof stub>[]
  } = {},
) {
  const state = neighbours()
  options.prepare?.(state)
  const own = testEnv({ LIMIT_FACTOR: '0', PUSH_DELAY: '0.1', ...options.env })
  const url = await startNeighbours(t, state, own, options.stubs ?? [])
  const env = { ...own, USER_URL: url, SOCIAL_URL: url, ROOM_URL: url, MESSAGE_URL: url }
  const channels = new RecordedChannels()
  const running = await startService(t, service, {
    env,
    overrides: { ...(options.realProviders ? {} : { channels }), ...options.overrides },
  })
  const publish = eventPublisher(t, env)
  const caughtUp = async () => {
    const catchUps = running.deps.db.collection('catch_ups')
    await eventually(async () => (await catchUps.countDocuments({ finishedAt: { $exists: true } })) === 3)
  }
  await caughtUp()

  /** A message was archived. Returns its id. */
  async function say(
    from: number,
    to: number | string,
    said: { text?: string; type?: number; mentioned?: number[]; mentionsAll?: boolean; id?: string } & Partial<{
      isEncrypt: boolean
      arrivedAt: number
      recalled: string[]
    }> = {},
  ): Promise<string> {
    const { type = 1, id = randomBytes(16).toString('hex'), isEncrypt = false, arrivedAt = Date.now() } = said
    state.texts.set(id, { text: 'hi', ...said })
    const place =
      typeof to === 'number'
        ? { conversation: `u:${Math.min(from, to)}:${Math.max(from, to)}`, to }
        : { conversation: `r:${to}`, roomJid: to }
    const facts = { from, contentType: type, timeSend: Math.floor(arrivedAt / 1000), arrivedAt, isEncrypt }
    const message = { messageId: id, ...place, ...facts }
    if (typeof to === 'number') state.unconfirmed.set(to, [...(state.unconfirmed.get(to) ?? []), message])
    await publish(messageArchived, 'log:1', { messages: [message] })
    return id
  }
  return { ...running, state, channels, publish, say }
}

export type PushUnderTest = Awaited<ReturnType<typeof startPush>>
