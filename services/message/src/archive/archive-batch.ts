import { messageArchived, messageType } from '@im/contracts/message'
import { type Change, isDuplicateKey } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { advanceChats, rememberShown } from '../inbox/advance-chats.ts'
import { keyText, type MessageDocument } from './messages-repository.ts'

/** What an entry of an XMPP server's log asks the archive to do. Each part may be missing. */
export interface ArchiveEntry {
  /** Its place: `<log>:<seq>`. */
  tap: string
  store?: MessageDocument
  /** Type 26: the peer of `author` has read these messages. */
  read?: { conversation: string; author: number; messageIds: string[] }
  /** Type 202: `by` takes these messages of theirs back. */
  recall?: { conversation: string; by: number; messageIds: string[] }
}

/**
 * What became of an entry that asked to be stored.
 * - `new`: stored by this call.
 * - `replayed`: stored before, by this very entry, which came again.
 * - `resent`: stored before by another entry: its sender sent it again.
 * - `gone`: known, and recalled or removed by everybody.
 */
export type Outcome = 'new' | 'replayed' | 'resent' | 'gone'

type ArchiveDeps = Pick<Deps, 'messages' | 'inbox' | 'outbox' | 'searchIndex' | 'shownPlaces'>

/**
 * Stores a batch of entries with its inbox rows and its event in one transaction; messages that are stored already change
 * nothing. Gives the outcome of each entry that has something to store. Looking first for known messages costs a query that
 * almost always finds nothing, so it is done only when `lookFirst` (after a reconnection copies are likely) or when a copy was
 * hit. `alongside` adds writes to the same transaction: it gets the entries that are not known, and may run several times.
 */
export async function archiveBatch<E extends ArchiveEntry>(
  deps: ArchiveDeps,
  entries: readonly E[],
  {
    lookFirst,
    alongside,
  }: { lookFirst: boolean; alongside?: (fresh: ReadonlySet<E>, change: Change) => Promise<unknown> },
): Promise<(Outcome | undefined)[]> {
  const { messages, outbox, searchIndex, shownPlaces } = deps
  const firsts = firstOfEach(entries)
  let known = lookFirst ? await messages.known([...firsts.values()].map(({ store }) => store!)) : new Map()
  const reads = mergedReads(entries)
  for (;;) {
    const fresh = new Set(entries.filter(({ store }) => !store || !known.has(keyText(store))))
    for (const entry of fresh) if (entry.store && firsts.get(keyText(entry.store)) !== entry) fresh.delete(entry)
    const stored = [...fresh].flatMap(({ store }) => store ?? [])
    if (!stored.length && !reads.length && !alongside) return outcomes()
    try {
      const places = await outbox.commit(async (change) => {
        await messages.store(stored, change.session)
        const newest = await advanceChats(deps, shownPlaces, stored.filter(isListed), change.session)
        await messages.markReadBetween(reads, change.session)
        await searchIndex.backlog.add(stored, change.session)
        await alongside?.(fresh, change)
        if (stored.length) change.announce(messageArchived, 'archive', { messages: stored.map(announced) })
        return newest
      })
      rememberShown(shownPlaces, places)
      return outcomes()
    } catch (error) {
      if (!isDuplicateKey(error)) throw error
      const before = known.size
      known = await messages.known([...firsts.values()].map(({ store }) => store!))
      if (known.size === before) throw error
    }
  }

  function outcomes(): (Outcome | undefined)[] {
    return entries.map((entry) => {
      if (!entry.store) return undefined
      const key = keyText(entry.store)
      const before = known.get(key)
      if (before?.gone) return 'gone'
      if (before) return before.tap === entry.tap ? 'replayed' : 'resent'
      return firsts.get(key) === entry ? 'new' : 'resent'
    })
  }
}

/** Copies within the batch: the first one counts. */
function firstOfEach<E extends ArchiveEntry>(entries: readonly E[]): Map<string, E> {
  const firsts = new Map<string, E>()
  for (const entry of entries) {
    if (!entry.store) continue
    const key = keyText(entry.store)
    if (!firsts.has(key)) firsts.set(key, entry)
  }
  return firsts
}

/** One list of ids per chat and author, however many read receipts there were. */
function mergedReads(entries: readonly ArchiveEntry[]) {
  const merged = new Map<string, { conversation: string; author: number; messageIds: string[] }>()
  for (const { read } of entries) {
    if (!read?.messageIds.length) continue
    const key = `${read.conversation} ${read.author}`
    const other = merged.get(key)
    if (other) other.messageIds.push(...read.messageIds)
    else merged.set(key, { ...read, messageIds: [...read.messageIds] })
  }
  return [...merged.values()]
}

/** May be the last message of a single chat. */
const isListed = ({ to, contentType }: MessageDocument) => to !== undefined && messageType(contentType).listed

const announced = (message: MessageDocument) => ({
  messageId: message.messageId,
  conversation: message.conversation,
  from: message.from,
  to: message.to,
  roomJid: message.roomJid,
  contentType: message.contentType,
  timeSend: message.timeSend,
  arrivedAt: message.ts,
  isEncrypt: message.isEncrypt,
})
