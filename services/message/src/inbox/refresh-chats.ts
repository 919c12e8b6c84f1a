import type { ClientSession } from 'mongodb'
import { usersOf } from '../archive/messages-repository.ts'
import type { Deps } from '../deps.ts'
import { type InboxRow, inboxRow } from './inbox-repository.ts'

type InboxDeps = Pick<Deps, 'messages' | 'inbox'>

/** Makes these single chats show the newest message that each of their sides can still see; without one they go. */
export async function refreshChats(
  { messages, inbox }: InboxDeps,
  conversations: readonly string[],
  session: ClientSession,
): Promise<void> {
  const rows: InboxRow[] = []
  for (const conversation of conversations) {
    const [low = 0, high = 0] = usersOf(conversation) ?? []
    const forLow = await messages.newestListed(conversation, low, session)
    const forHigh = await messages.newestListed(conversation, high, session)
    if (forLow && forHigh && forLow._id.equals(forHigh._id)) rows.push(inboxRow(forLow))
    else {
      if (forLow) rows.push(inboxRow(forLow, low))
      if (forHigh) rows.push(inboxRow(forHigh, high))
    }
  }
  await inbox.replace(conversations, rows, session)
}

/** The same for those chats only that show one of these messages, which are gone for somebody. */
export async function refreshChatsShowing(
  deps: InboxDeps,
  gone: readonly { conversation: string; messageId: string }[],
  session: ClientSession,
): Promise<void> {
  const ids = Map.groupBy(gone, ({ conversation }) => conversation)
  const rows = await deps.inbox.ofChats([...ids.keys()], session)
  const stale = rows.filter((row) => ids.get(row.conversation)?.some(({ messageId }) => messageId === row.messageId))
  await refreshChats(deps, [...new Set(stale.map(({ conversation }) => conversation))], session)
}
