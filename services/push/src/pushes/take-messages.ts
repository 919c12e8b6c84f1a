import type { Payload } from '@im/contracts'
import {
  type messageArchived,
  type messagesPassed,
  messageType,
  pushedMessages,
  type roomMessagesPassed,
} from '@im/contracts/message'
import { firstUserId } from '@im/contracts/user'
import { UnknownEndpointError } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { findPresent } from './find-present.ts'
import { isPushedType, textOfType } from './notification-text.ts'
import { expiryOf, longestAge, newPush, type Push, pushAgain } from './push-document.ts'

type TakeDeps = Pick<Deps, 'config' | 'tokens' | 'pushes' | 'pushWorker' | 'message' | 'now' | 'log'>

type Messages<E extends typeof messageArchived | typeof messagesPassed | typeof roomMessagesPassed> =
  Payload<E>['messages']

/** Puts messages that were archived into the queue. */
export const takeArchived = (deps: TakeDeps, messages: Messages<typeof messageArchived>): Promise<void> =>
  queue(
    deps,
    messages.filter(({ from, to }) => from !== to),
  )

/** Puts messages that are not archived into the queue. */
export const takePassed = (deps: TakeDeps, messages: Messages<typeof messagesPassed>): Promise<void> =>
  queue(deps, messages.map(passedPush))

const passedPush = (message: Messages<typeof messagesPassed>[number]): Push => {
  const { from, to } = message
  return { ...message, conversation: `u:${Math.min(from, to)}:${Math.max(from, to)}`, text: passedText(message) }
}

/** The same of rooms. */
export const takePassedInRooms = (deps: TakeDeps, messages: Messages<typeof roomMessagesPassed>): Promise<void> =>
  queue(
    deps,
    messages.map((message) => ({ ...message, conversation: `r:${message.roomJid}`, text: passedText(message) })),
  )

/** Users asked about together. */
const askedAtOnce = 100

/**
 * Users went offline. What came while they seemed to be there, and no device of theirs has confirmed, they are told of after all:
 * their connection was lost before. While the message service is of a build that cannot say, nobody is.
 */
export async function takeUnconfirmed(
  deps: TakeDeps,
  changes: readonly { userId: number; online: boolean }[],
  eventId: string,
): Promise<void> {
  const gone = new Set(changes.flatMap(({ userId, online }) => (online ? [] : userId)))
  const owners = [...(await deps.tokens.ownersAmong([...gone]))].sort((a, b) => a - b)
  const since = deps.now() - longestAge
  try {
    for (let at = 0; at < owners.length; at += askedAtOnce) {
      const userIds = owners.slice(at, at + askedAtOnce)
      const answer = await deps.message.call(pushedMessages.getUnconfirmed, { userIds, since })
      const { messages, passed = [], inRooms = [] } = answer
      const archived = messages.filter(({ from, to }) => from !== to)
      await queue(deps, [...archived, ...passed.map(passedPush)], { again: true })
      await queueInRooms(deps, inRooms, `${eventId} ${at}`)
    }
  } catch (error) {
    if (!(error instanceof UnknownEndpointError)) throw error
    deps.log.warn({ reason: error.message }, 'what lost connections have missed is told to nobody')
  }
}

/** Tells members of rooms once more, each what they have missed. Invitations of calls are told as long as they may be ringing. */
async function queueInRooms(
  { config, pushes, pushWorker, now }: TakeDeps,
  missed: readonly { userId: number; messageIds: readonly string[] }[],
  cause: string,
): Promise<void> {
  const receivers = new Map<string, number[]>()
  for (const { userId, messageIds } of missed)
    for (const id of messageIds) receivers.set(id, [...(receivers.get(id) ?? []), userId])
  const missedAt = now()
  const dueAt = missedAt + config.pushDelay * 1000
  const found = await pushes.inRooms([...receivers.keys()])
  const again = found.flatMap((push) => {
    const mayHear = ({ from, receivers }: Push, userId: number) =>
      userId !== from && (receivers?.includes(userId) ?? true)
    const concerned = receivers.get(push.messageId)!.filter((userId) => mayHear(push, userId))
    const isOver = missedAt > Math.min(expiryOf(push), push.arrivedAt + ringsFor(push))
    return concerned.length && !isOver ? [pushAgain(push, { receivers: concerned, cause, missedAt, dueAt })] : []
  })
  await pushes.add(again)
  if (again.length) pushWorker.wake(dueAt)
}

const ringsFor = ({ contentType }: Push) =>
  messageType(contentType).waits === 'minute' ? 60_000 : Number.POSITIVE_INFINITY

const passedText = ({ contentType, isReadDel }: { contentType: number; isReadDel: boolean }) =>
  isReadDel ? '' : (textOfType(contentType) ?? '')

/** Messages that are put into the queue together. */
const queuedAtOnce = 2000

/**
 * Pushes wait a moment, so that nobody gets one who comes online in the same second. Messages to users who have no device to
 * wake, or who are online now, do not even wait. `again`: also those that were looked at before, and nobody was told of.
 */
async function queue(deps: TakeDeps, all: readonly Push[], { again = false } = {}): Promise<void> {
  const { config, now } = deps
  const pushed = all.filter(
    (push) => isPushedType(push.contentType) && expiryOf(push) > now() && (push.to ?? firstUserId) >= firstUserId,
  )
  const wait = config.pushDelay * 1000
  for (let at = 0; at < pushed.length; at += queuedAtOnce) {
    const some = pushed.slice(at, at + queuedAtOnce)
    const waiting = await withoutIdle(deps, some)
    if (!waiting.length) continue
    const queued = waiting.map((push) => newPush(push, (again ? now() : Math.min(now(), push.arrivedAt)) + wait))
    await deps.pushes.add(queued)
    if (again)
      await deps.pushes.lookAgain(
        queued.map(({ _id }) => _id),
        now() + wait,
      )
    deps.pushWorker.wake(queued.reduce((first, { dueAt }) => Math.min(first, dueAt!.getTime()), Number.MAX_VALUE))
  }
}

/** Those whose receiver has a device and is away. Rooms are looked at later. */
async function withoutIdle(deps: TakeDeps, pushed: readonly Push[]): Promise<Push[]> {
  const owners = await deps.tokens.ownersAmong([...new Set(pushed.flatMap(({ to }) => to ?? []))])
  const present = await presentAmong(deps, [...owners])
  return pushed.filter(({ to }) => to === undefined || (owners.has(to) && !present.has(to)))
}

/** Nobody counts as online when the message service can't say: they are looked at again before anything is sent. */
async function presentAmong(deps: TakeDeps, userIds: readonly number[]): Promise<Set<number>> {
  try {
    return await findPresent(deps, userIds)
  } catch (error) {
    deps.log.debug({ err: error }, 'it is not known who is online; everybody is looked at later')
    return new Set()
  }
}
