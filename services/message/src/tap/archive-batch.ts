import { messageArchived, messageType } from '@im/contracts/message'
import { isDuplicateKey } from '@im/service-kit'
import { keyText, type MessageDocument } from '../archive/messages-repository.ts'
import type { Deps } from '../deps.ts'
import { advanceChats, rememberShown, type ShownPlaces } from '../inbox/advance-chats.ts'
import type { ReadEntry } from './read-entry.ts'

/** Copies within the batch: the first one counts. */
function withoutCopies(entries: readonly ReadEntry[]): MessageDocument[] {
  const byKey = new Map<string, MessageDocument>()
  for (const { store } of entries) {
    if (!store) continue
    const key = keyText(store)
    if (!byKey.has(key)) byKey.set(key, store)
  }
  return [...byKey.values()]
}

/** One list of ids per chat and author, however many read receipts there were. */
function mergedReads(entries: readonly ReadEntry[]) {
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

/**
 * Stores a batch of entries with its inbox rows and its event in one transaction; entries that are stored already change
 * nothing. Returns how many messages are new. Looking first for known messages costs a query that almost always finds
 * nothing, so it is done only when `lookFirst` (after a reconnection copies are likely) or when a copy was hit.
 */
export async function archiveBatch(
  deps: Pick<Deps, 'messages' | 'inbox' | 'outbox' | 'searchIndex'>,
  entries: readonly ReadEntry[],
  { shown, lookFirst }: { shown: ShownPlaces; lookFirst: boolean },
): Promise<number> {
  const { messages, outbox, searchIndex } = deps
  let fresh = withoutCopies(entries)
  const reads = mergedReads(entries)
  if (lookFirst) fresh = await withoutKnown(messages, fresh)
  for (;;) {
    if (!fresh.length && !reads.length) return 0
    try {
      const places = await outbox.commit(async (change) => {
        await messages.store(fresh, change.session)
        const newest = await advanceChats(deps, shown, fresh.filter(isListed), change.session)
        await messages.markReadBetween(reads, change.session)
        await searchIndex.backlog.add(fresh, change.session)
        if (fresh.length) change.announce(messageArchived, 'archive', { messages: fresh.map(announced) })
        return newest
      })
      rememberShown(shown, places)
      return fresh.length
    } catch (error) {
      if (!isDuplicateKey(error)) throw error
      const unknown = await withoutKnown(messages, fresh)
      if (unknown.length === fresh.length) throw error
      fresh = unknown
    }
  }
}

async function withoutKnown(messages: Deps['messages'], fresh: MessageDocument[]): Promise<MessageDocument[]> {
  const known = await messages.known(fresh)
  return known.size ? fresh.filter((message) => !known.has(keyText(message))) : fresh
}

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
