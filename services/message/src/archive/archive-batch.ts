import { messageArchived, messageRecalled } from '@im/contracts/message'
import { type Change, isDuplicateKey } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { Chat } from '../inbox/chats-repository.ts'
import { refreshChats } from '../inbox/refresh-chats.ts'
import { chatsOf, showInChats, showInRooms, showing } from '../inbox/show-messages.ts'
import { announced } from '../messages/announced.ts'
import { usersOf } from '../messages/conversations.ts'
import { keyText, type MessageDocument, type MessageKey, type RefusedMessage } from '../messages/message-document.ts'
import type { KnownMessage } from '../messages/messages-repository.ts'
import type { Refusal } from '../stanzas/refusal.ts'
import { behindTies } from './copy-order.ts'
import { announceByConversation } from './delete-messages.ts'
import { forgetMessages } from './forget-messages.ts'
import { type RecallDeps, recallLimitMs } from './recall-limit.ts'
import { type Settled, settleCopies } from './settle-copies.ts'

/** What an entry of an XMPP server's log asks the archive to do. Each part may be missing. */
export interface ArchiveEntry {
  /** Its place: `<log>:<seq>`. */
  tap: string
  store?: MessageDocument
  /** Type 26: the peer of `author` has read these messages. */
  read?: { conversation: string; author: number; messageIds: string[] }
  /**
   * Type 202: `by` takes these messages back: their own ones, or with `anybody` (owner and admins of a room) those of others,
   * too. It counts in its place of the log: what came before is recalled, also when `/tigase/deleteMsg` was too early for it.
   */
  recall?: { conversation: string; by: number; messageIds: string[]; anybody?: true }
  /** In place of `store`: it is not taken. That is kept before its sender is told, so that nobody takes it later. */
  refuse?: RefusedMessage
  /** A message that the archive does not keep, and that was perhaps refused when it, or a copy of it, came before. */
  mind?: MessageKey & { ts: number }
}

/**
 * What became of an entry that asked to be stored.
 * - `new`: stored by this call.
 * - `replayed`: stored before by this very entry, which came again.
 * - `resent`: stored before by another entry: its sender sent it again.
 * - `gone`: recalled, expired or removed by everybody.
 * - `refused`: not taken, now or when a copy of it came before.
 */
export type Outcome = 'new' | 'replayed' | 'resent' | 'gone' | 'refused'

/** Ids that one entry can mark as read or recall. */
const mostIds = 200
/** Ids of one command that marks messages as read. */
const idsAtOnce = 1000

type ArchiveDeps = Pick<
  Deps,
  | 'messages'
  | 'mailbox'
  | 'chats'
  | 'roomChats'
  | 'outbox'
  | 'searchIndex'
  | 'fileRemovals'
  | 'resenders'
  | 'feeds'
  | 'now'
> &
  RecallDeps

/**
 * Stores a batch of entries, the lists of chats and their event in one transaction; messages that are stored already change nothing.
 * Then, still before the caller may tell anybody, the read marks, and lists that could not be written with the messages: they are
 * idempotent, and a log tells an entry again until this function has returned. Gives the outcome of each entry that has something to
 * store. `alongside` adds writes to the transaction: it gets the entries that are not known, and may run several times; `written` gets
 * those of the time that counts. `refused` is told why entries of that outcome were refused.
 */
export async function archiveBatch<E extends ArchiveEntry>(
  deps: ArchiveDeps,
  entries: readonly E[],
  {
    alongside,
    written: tellWritten,
    refused,
  }: {
    alongside?: (fresh: ReadonlySet<E>, change: Change) => Promise<unknown>
    written?: (fresh: ReadonlySet<E>) => void
    refused?: (entry: E, refusal: Refusal) => void
  } = {},
): Promise<(Outcome | undefined)[]> {
  const keyed = entries.flatMap(({ store, refuse, mind }) => store ?? refuse ?? mind ?? [])
  const keys = [...new Map(keyed.map((key) => [keyText(key), key])).values()]
  let known = new Map<string, KnownMessage>()
  if (entries.some(({ mind }) => mind)) known = await deps.messages.known(keys)
  for (;;) {
    const settled = settleCopies(entries, known, deps.now())
    const fresh = new Set(
      entries.filter(({ refuse }, index) => {
        const outcome = settled.outcomes[index]
        return !refuse && (outcome === undefined || outcome === 'new')
      }),
    )
    deps.resenders.add(known.values())
    try {
      const { stored, recalled, isShown } = await store(deps, settled, fresh, [...known.values()], alongside)
      tellWritten?.(fresh)
      const lost = new Set(recalled.map(keyText))
      const shown = [...stored, ...known.values()].filter((message) => !lost.has(keyText(message)))
      await showInRooms(deps, shown)
      if (!isShown) await showInChats(deps, shown)
      await refreshChats(deps, recalled)
      await markRead(deps, entries)
      for (const [entry, refusal] of settled.refusals) refused?.(entry as E, refusal)
      return settled.outcomes.map((outcome, index) => {
        const { store } = entries[index]!
        return store && outcome !== 'refused' && lost.has(keyText(store)) ? 'gone' : outcome
      })
    } catch (error) {
      if (!isDuplicateKey(error) && !(error instanceof ChangedMeanwhileError)) throw error
      const before = known.size
      known = await deps.messages.known(keys)
      // Another replica's write that is not to be seen yet: no fault of what is stored, so it must not look like one. The error
      // of the driver is no cause of it: it holds the message, which is not for a log.
      if (known.size === before)
        throw new Error(
          error instanceof ChangedMeanwhileError
            ? 'a refusal is told again or taken back elsewhere'
            : 'a message is stored already and cannot be found yet',
        )
    }
  }
}

/** A stone that is to be replaced is not what it was when it was read. */
class ChangedMeanwhileError extends Error {}

/**
 * The transaction: the messages as they were stored, and those that entries of the batch recalled. The lists of chats are written with it
 * (`isShown`), unless another log had messages of one of these chats at the same time: the two would undo each other's batches again
 * and again, so from the second try on the caller shows them apart.
 */
async function store<E extends ArchiveEntry>(
  deps: ArchiveDeps,
  settled: Settled,
  fresh: ReadonlySet<E>,
  known: readonly KnownMessage[],
  alongside?: (fresh: ReadonlySet<E>, change: Change) => Promise<unknown>,
): Promise<{ stored: MessageDocument[]; recalled: KnownMessage[]; isShown: boolean }> {
  const { messages, chats, searchIndex, outbox, now } = deps
  const { refused, replaced, retold } = settled
  const recalls = [...fresh].filter(({ recall }) => recall?.messageIds.length)
  if (!settled.stored.length && !refused.length && !retold.length && !recalls.length && !(alongside && fresh.size))
    return { stored: [], recalled: [], isShown: false }
  let tries = 0
  return await outbox.commit(async (change) => {
    const found = tries++ ? undefined : await chats.byIds(chatsOf([...settled.stored, ...known]), change.session)
    const bounds = found ? clearsOf(found) : await boundsOf(deps, settled.stored)
    const stored = await placed(
      deps,
      settled.stored.map((message) => afterClears(message, bounds)),
    )
    if (!(await messages.removeRefused(replaced, change.session))) throw new ChangedMeanwhileError()
    messages.store(stored, change)
    messages.addRefused(refused, now(), change)
    if (!(await messages.tellAgain(retold, now(), change.session))) throw new ChangedMeanwhileError()
    searchIndex.backlog.add(stored, change)
    await alongside?.(fresh, change)
    const recalled: KnownMessage[] = []
    // Messages of this batch may be taken back by it.
    if (recalls.length) await change.flush()
    for (const entry of recalls) recalled.push(...(await applyRecall(deps, entry, change)))
    // What was recalled is taken from them by the caller.
    if (found) chats.write(showing(found, [...stored, ...known], now()), change)
    if (stored.length) change.announce(messageArchived, logOf(stored[0]!), { messages: stored.map(announced) })
    return { stored, recalled, isShown: found !== undefined }
  })
}

/** Own messages that nobody knows may still be on their way through another server's log: stones await them. */
async function applyRecall(deps: ArchiveDeps, { recall, tap, store: notice }: ArchiveEntry, change: Change) {
  const { messages, now } = deps
  const { conversation, by, anybody, messageIds } = recall!
  const own = [...new Set(messageIds)].slice(0, mostIds).map((messageId) => ({ conversation, messageId, from: by }))
  const known = await messages.known(own, change.session)
  const others = anybody
    ? await messages.ofRoom(
        conversation,
        own.map(({ messageId }) => messageId),
        change.session,
      )
    : []
  const found = new Map([...known.values(), ...others].map((message) => [keyText(message), message]))
  const limit = recallLimitMs(deps)
  const at = notice?.ts ?? now()
  const recalled = [...found.values()].filter(({ gone, ts }) => !gone && (limit === 0 || at - ts <= limit))
  const named = new Set([...found.values()].map(({ messageId }) => messageId))
  await forgetMessages(deps, recalled, change)
  // One that was refused may not come in another attempt either.
  const refused = [...known.values()].flatMap((message) => (message.refused ? message._id : []))
  await messages.empty(refused, now(), change.session)
  await messages.addStones(
    own.filter(({ messageId }) => !named.has(messageId)).map((key: MessageKey) => ({ ...key, tap })),
    now(),
    change.session,
  )
  announceByConversation(recalled, (_, ids) =>
    change.announce(messageRecalled, conversation, { conversation, messageIds: ids, by, at: now() }),
  )
  return recalled
}

/** How late (ms) a message may be without being looked at apart: copies may have come meanwhile, to a replica that is gone. */
const lateAfterMs = 1000

/** The messages where they are to stand: behind what their senders sent before in the same moment, which other logs may have brought. */
async function placed(
  { messages, resenders, feeds, now }: ArchiveDeps,
  stored: readonly MessageDocument[],
): Promise<MessageDocument[]> {
  const doubtful = stored.filter(
    (message) => now() - message.ts > lateAfterMs || feeds.cameBefore(message.tap) || resenders.has(message),
  )
  return behindTies(stored, doubtful.length ? await messages.ofMoments(doubtful) : [])
}

/** How late (s) a message may be without being looked at apart. */
const prompt = 60

/** Up to which moment (s) these chats are cleared by one of their sides. */
const clearsOf = (chats: ReadonlyMap<string, Chat>) =>
  new Map([...chats].map(([conversation, { clearedBefore = 0 }]) => [conversation, clearedBefore]))

/** Up to which moment (s) the chats of these messages are cleared by one of their sides, where that may matter. */
async function boundsOf({ chats }: ArchiveDeps, messages: readonly MessageDocument[]): Promise<Map<string, number>> {
  const late = messages.filter(({ timeSend, ts }) => timeSend < ts / 1000 - prompt)
  const soon = messages.filter(({ timeSend, ts }) => timeSend >= ts / 1000 - prompt)
  // Of all chats few were cleared up to a moment ago; these are asked for, and not each chat of the batch.
  const bounds = soon.length
    ? await chats.clearedAfter(soon.reduce((oldest, { timeSend }) => Math.min(oldest, timeSend), Number.MAX_VALUE))
    : new Map<string, number>()
  for (const [conversation, { clearedBefore }] of await chats.byIds(late.map((message) => message.conversation)))
    if (clearedBefore !== undefined) bounds.set(conversation, clearedBefore)
  return bounds
}

/** A message that comes after its chat was cleared stands behind the clear, whatever the clock of its sender says. */
function afterClears(message: MessageDocument, bounds: ReadonlyMap<string, number>): MessageDocument {
  const bound = bounds.get(message.conversation) ?? 0
  return message.timeSend < bound ? { ...message, timeSend: bound } : message
}

/** Many receipts for one author become few commands. */
async function markRead({ messages }: ArchiveDeps, entries: readonly ArchiveEntry[]): Promise<void> {
  const reads = entries.flatMap(({ read }) => {
    const reader = read && usersOf(read.conversation)?.find((user) => user !== read.author)
    return read && reader !== undefined && read.messageIds.length
      ? { author: read.author, reader, messageIds: read.messageIds.slice(0, mostIds) }
      : []
  })
  const merged = [...Map.groupBy(reads, ({ author, reader }) => `${author} ${reader}`).values()].flatMap((some) => {
    const [{ author, reader }] = some as [(typeof some)[number]]
    const ids = [...new Set(some.flatMap(({ messageIds }) => messageIds))]
    const parts = Array.from({ length: Math.ceil(ids.length / idsAtOnce) }, (_, n) =>
      ids.slice(n * idsAtOnce, (n + 1) * idsAtOnce),
    )
    return parts.map((messageIds) => ({ author, reader, messageIds }))
  })
  await messages.markReadBetween(merged)
}

/**
 * The log a batch comes from, which is the aggregate of its events: batches of one log stay in order, and feeds of several servers
 * never wait for each other's numbers.
 */
export const logOf = ({ tap }: { tap: string }) => `log:${tap.slice(0, tap.indexOf(':'))}`
