import type { Payload } from '@im/contracts'
import { type messageArchived, type messagesPassed, pushedMessages } from '@im/contracts/message'
import { firstUserId } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { isPushedType, textOfType } from './notification-text.ts'
import { expiryOf, newPush, type Push } from './push-document.ts'

type TakeDeps = Pick<Deps, 'config' | 'tokens' | 'pushes' | 'pushWorker' | 'message' | 'now' | 'log'>

/** Puts messages that were archived into the queue. */
export const takeArchived = (deps: TakeDeps, { messages }: Payload<typeof messageArchived>): Promise<void> =>
  queue(
    deps,
    messages.filter(({ from, to }) => from !== to),
  )

/** Puts messages that are not archived into the queue. */
export const takePassed = (deps: TakeDeps, { messages }: Payload<typeof messagesPassed>): Promise<void> =>
  queue(
    deps,
    messages.map((message) => {
      const { from, to, contentType, isReadDel } = message
      const conversation = `u:${Math.min(from, to)}:${Math.max(from, to)}`
      return { ...message, conversation, text: isReadDel ? '' : (textOfType(contentType) ?? '') }
    }),
  )

/**
 * Pushes wait a moment, so that nobody gets one who comes online in the same second. Messages to users who have no device to
 * wake, or who are online now, do not even wait.
 */
async function queue(deps: TakeDeps, all: readonly Push[]): Promise<void> {
  const { config, pushes, pushWorker, now } = deps
  const pushed = all.filter(
    (push) => isPushedType(push.contentType) && expiryOf(push) > now() && (push.to ?? firstUserId) >= firstUserId,
  )
  const receivers = [...new Set(pushed.flatMap(({ to }) => to ?? []))]
  const [owners, present] = await Promise.all([deps.tokens.ownersAmong(receivers), presentAmong(deps, receivers)])
  const waiting = pushed.filter(({ to }) => to === undefined || (owners.has(to) && !present.has(to)))
  if (!waiting.length) return
  const wait = config.pushDelay * 1000
  const queued = waiting.map((push) => newPush(push, Math.min(now(), push.arrivedAt) + wait))
  await pushes.add(queued)
  pushWorker.wake(Math.min(...queued.map(({ dueAt }) => dueAt!.getTime())))
}

/** Nobody counts as online when the message service can't say: they are looked at again before anything is sent. */
async function presentAmong(
  { message, log }: Pick<Deps, 'message' | 'log'>,
  userIds: readonly number[],
): Promise<Set<number>> {
  if (!userIds.length) return new Set()
  try {
    return new Set((await message.call(pushedMessages.getPresent, { userIds: [...userIds] })).userIds)
  } catch (error) {
    log.debug({ err: error }, 'it is not known who is online; everybody is looked at later')
    return new Set()
  }
}
