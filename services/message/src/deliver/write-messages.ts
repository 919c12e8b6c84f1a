import { friendsTold, messagesPassed, roomMessagesPassed } from '@im/contracts/message'
import { archiveBatch, logOf } from '../archive/archive-batch.ts'
import type { Deps } from '../deps.ts'
import type { MailboxRow } from '../mailbox/mailbox-repository.ts'
import { devicesElsewhere } from '../presence/devices-elsewhere.ts'
import type { MessageWrite } from './message-step.ts'

type WriteDeps = Pick<
  Deps,
  | 'messages'
  | 'chats'
  | 'roomChats'
  | 'outbox'
  | 'searchIndex'
  | 'fileRemovals'
  | 'now'
  | 'serverConfig'
  | 'mailbox'
  | 'mailboxLimits'
  | 'deliverer'
  | 'feedMetrics'
  | 'presences'
  | 'feeds'
  | 'recentMessages'
  | 'resenders'
  | 'log'
>

/**
 * Writes a batch of messages, with the mailbox rows of receivers who are not there and what push has to know, in one
 * transaction. Sets what became of each.
 */
export async function writeMessages(deps: WriteDeps, writes: readonly MessageWrite[]): Promise<void> {
  const { deliverer, mailbox, mailboxLimits, feedMetrics } = deps
  const kept = writes.flatMap(({ outgoing, entry: { tap } }) =>
    outgoing && outgoing.waits !== 'never' ? [{ ...outgoing, cameBefore: deps.feeds.cameBefore(tap) }] : [],
  )
  const [devices] = await Promise.all([
    devicesElsewhere(deps, kept),
    mailboxLimits.prepare(kept.map(({ user }) => user)),
  ])
  for (const { outgoing } of writes) if (outgoing) outgoing.devices = devices.get(outgoing.user) ?? []
  withoutRepeatedNews(deps, writes)
  const rows = new Map<MessageWrite, MailboxRow>()
  for (const write of writes) {
    const row = write.outgoing && !write.entry.refuse ? deliverer.rowFor(write.outgoing) : undefined
    if (row) rows.set(write, row)
    // A server may be lost until the message is stored: what its streams were not given is owed to their devices.
    else if (write.outgoing && write.outgoing.waits !== 'never')
      write.outgoing.known = [...new Set([...(write.outgoing.known ?? []), ...deliverer.known(write.outgoing)])]
  }
  const needed = writes.filter(
    (write) =>
      write.entry.store ||
      write.entry.refuse ||
      write.entry.mind ||
      write.entry.read ||
      write.entry.recall ||
      write.passed ||
      write.passedInRoom ||
      write.friendTold ||
      rows.has(write),
  )
  if (!needed.length) return
  deliverer.rowsBegin(rows.values())
  const byEntry = new Map(needed.map((write) => [write.entry, write]))
  let fresh = new Set<MessageWrite>()
  try {
    const outcomes = await archiveBatch(
      deps,
      needed.map(({ entry }) => entry),
      {
        refused: (entry, refusal) => {
          byEntry.get(entry)!.refusal = refusal
        },
        written: (entries) => {
          fresh = new Set([...entries].map((entry) => byEntry.get(entry)!))
        },
        alongside: async (entries, change) => {
          const fresh = [...entries].map((entry) => byEntry.get(entry)!)
          await mailbox.add(
            fresh.flatMap((write) => rows.get(write) ?? []),
            change,
          )
          const recalls = fresh.flatMap(({ entry }) => entry.recall ?? [])
          // What is recalled may have come in this batch.
          if (recalls.length) await change.flush()
          await mailbox.forget(recalls.flatMap(recalledOf), change.session)
          const passed = fresh.flatMap((write) => write.passed ?? [])
          const passedInRooms = fresh.flatMap((write) => write.passedInRoom ?? [])
          const told = fresh.flatMap((write) => write.friendTold ?? [])
          const log = logOf(needed[0]!.entry)
          if (passed.length) change.announce(messagesPassed, log, { messages: passed })
          if (passedInRooms.length) change.announce(roomMessagesPassed, log, { messages: passedInRooms })
          if (told.length) change.announce(friendsTold, log, { messages: told })
        },
      },
    )
    needed.forEach((write, index) => {
      const outcome = outcomes[index]
      if (outcome) write.outcome = outcome
      if (outcome === 'new') feedMetrics.stored.inc()
      if (outcome === 'refused') tellRefused(deps, write)
    })
  } catch (error) {
    deliverer.rowsEnd(rows.values())
    for (const { user, bytes } of rows.values()) mailboxLimits.give(user, bytes)
    throw error
  }
  for (const [write, row] of rows) {
    if (fresh.has(write)) write.row = row
    else {
      mailboxLimits.give(row.user, row.bytes)
      deliverer.rowsEnd([row])
    }
  }
  for (const { entry } of needed) if (entry.recall) deliverer.recall(recalledOf(entry.recall))
}

/** Its sender may never hear of it, when the stream it came by is gone. */
function tellRefused({ log }: Pick<Deps, 'log'>, { entry: { refuse, store, mind }, refusal }: MessageWrite): void {
  const { messageId, from } = (refuse ?? store ?? mind)!
  log.debug({ messageId, from, condition: refusal?.condition }, 'a message was refused')
}

const recalledOf = ({ conversation, by, messageIds }: { conversation: string; by: number; messageIds: string[] }) =>
  messageIds.map((messageId) => ({ conversation, from: by, messageId }))

/**
 * The archive knows what was sent again; of what it does not keep, other services are told once all the same: by the first copy
 * that came to this replica.
 */
function withoutRepeatedNews({ recentMessages }: Pick<Deps, 'recentMessages'>, writes: readonly MessageWrite[]): void {
  const inThisBatch = new Map<string, string>()
  for (const write of writes) {
    const { key, entry } = write
    if (key === undefined || !(write.passed || write.passedInRoom || write.friendTold)) continue
    const first = recentMessages.get(key) ?? inThisBatch.get(key)
    if (first === undefined) inThisBatch.set(key, entry.tap)
    else if (first !== entry.tap) {
      write.passed = undefined
      write.passedInRoom = undefined
      write.friendTold = undefined
    }
  }
}
