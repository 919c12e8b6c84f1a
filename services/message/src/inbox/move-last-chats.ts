import type { ClientSession } from 'mongodb'
import { singleConversation } from '../archive/messages-repository.ts'
import type { Deps } from '../deps.ts'
import { type InboxRow, inboxId, inboxRow } from './inbox-repository.ts'

/** A row of the inbox and the message that went from its chat. */
export interface TouchedRow {
  owner: number
  peer: number
  messageId: string
}

/** Rows that show a message which is gone show the newest remaining one instead, or go with it. */
export async function moveLastChats(
  { messages, inbox }: Pick<Deps, 'messages' | 'inbox'>,
  touched: readonly TouchedRow[],
  session: ClientSession,
): Promise<void> {
  const gone = Map.groupBy(touched, ({ owner, peer }) => inboxId(owner, peer))
  const shown = await inbox.find([...gone.keys()], session)
  const stale = shown.filter((row) => gone.get(row._id)!.some(({ messageId }) => messageId === row.messageId))
  const moved: InboxRow[] = []
  const empty: string[] = []
  for (const row of stale) {
    const newest = await messages.newestListed(singleConversation(row.owner, row.peer), row.owner, session)
    if (newest) moved.push(inboxRow(newest, row.owner))
    else empty.push(row._id)
  }
  await inbox.remove(empty, session)
  await inbox.replace(moved, session)
}
