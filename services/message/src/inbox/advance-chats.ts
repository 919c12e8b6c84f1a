import { LRUCache } from 'lru-cache'
import type { ClientSession } from 'mongodb'
import type { MessageDocument } from '../archive/messages-repository.ts'
import type { Deps } from '../deps.ts'
import { type InboxRow, isCommon, isNewer } from './inbox-repository.ts'
import { refreshChats } from './refresh-chats.ts'

type Place = Pick<MessageDocument, 'timeSend' | 'ts'>

/**
 * Of chats with recent traffic, a place that nothing they show is newer than. Only the replica that feeds the archive moves
 * chats forward (others move them back), so what it remembers since its connection began is such a bound.
 */
export type ShownPlaces = LRUCache<string, Place>
export const createShownPlaces = (): ShownPlaces => new LRUCache({ max: 100_000 })

/**
 * Shows new messages of single chats to both sides in the place of older ones. They are stored in the same transaction. Gives
 * what is to be remembered once it has committed: of each chat the newest place among these messages and what was shown.
 */
export async function advanceChats(
  deps: Pick<Deps, 'messages' | 'inbox'>,
  shown: ShownPlaces,
  messages: readonly MessageDocument[],
  session: ClientSession,
): Promise<Map<string, Place>> {
  const newest = new Map<string, MessageDocument>()
  for (const message of messages) {
    const other = newest.get(message.conversation)
    if (!other || isNewer(message, other)) newest.set(message.conversation, message)
  }
  const ahead: MessageDocument[] = []
  const unsure: MessageDocument[] = []
  for (const message of newest.values()) {
    const place = shown.get(message.conversation)
    if (place && isNewer(message, place)) ahead.push(message)
    else unsure.push(message)
  }
  const rows = Map.groupBy(
    await deps.inbox.ofChats(
      unsure.map(({ conversation }) => conversation),
      session,
    ),
    ({ conversation }) => conversation,
  )
  const places = new Map<string, Place>(newest)
  const mixed: string[] = []
  for (const message of unsure) {
    const showing = rows.get(message.conversation) ?? []
    for (const row of showing)
      if (isNewer(row, places.get(message.conversation)!)) places.set(message.conversation, row)
    const isAhead = showing.every((row) => isNewer(message, row))
    if (isAhead && showing.every(isCommon)) ahead.push(message)
    // Late, or the two sides see different messages: the archive tells.
    else if (isAhead || !isShownToBoth(showing)) mixed.push(message.conversation)
  }
  await deps.inbox.showToBoth(ahead, session)
  await refreshChats(deps, mixed, session)
  return places
}

const isShownToBoth = (rows: readonly InboxRow[]) => rows.length > 0 && rows.every(isCommon)

/** To be called after the transaction has committed, with what `advanceChats` gave. */
export function rememberShown(shown: ShownPlaces, places: ReadonlyMap<string, Place>): void {
  for (const [conversation, { timeSend, ts }] of places) {
    const place = shown.get(conversation)
    if (!place || isNewer({ timeSend, ts }, place)) shown.set(conversation, { timeSend, ts })
  }
}
