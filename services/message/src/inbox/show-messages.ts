import { messageType } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { isNewer, isVisible, type MessageDocument, type Place, type Visibility } from '../messages/message-document.ts'
import { type Chat, type ChatSide, newChat, shownPlace, withShown } from './chats-repository.ts'

type Shown = Place & Visibility & Pick<MessageDocument, 'conversation' | 'contentType' | 'to'>

/**
 * Shows archived messages in the lists of both sides of their chats, where they are the newest. A transaction of its own after
 * that of the archive: two replicas that archive for the same chat at once would undo each other's whole batch. Messages that
 * were archived before do no harm, so it is done again for those that a log tells again.
 */
export async function showMessages(
  { chats, roomChats, outbox, now }: Pick<Deps, 'chats' | 'roomChats' | 'outbox' | 'now'>,
  messages: readonly Shown[],
): Promise<void> {
  await roomChats.show(newestOfRooms(messages))
  const byChat = Map.groupBy(
    messages.filter(({ to, gone }) => to !== undefined && !gone),
    ({ conversation }) => conversation,
  )
  if (!byChat.size) return
  await outbox.commit(async ({ session }) => {
    const known = await chats.byIds([...byChat.keys()], session)
    const changed = [...byChat].map(([conversation, some]) =>
      showing(known.get(conversation) ?? newChat(conversation), some, now()),
    )
    await chats.write(changed, session)
  })
}

/** The newest listed message of each room. */
function newestOfRooms(messages: readonly Shown[]): Map<string, Place> {
  const newest = new Map<string, Place>()
  for (const message of messages) {
    const { to, gone, conversation, contentType } = message
    if (to !== undefined || gone || !messageType(contentType).listed) continue
    const before = newest.get(conversation)
    if (!before || isNewer(message, before)) newest.set(conversation, message)
  }
  return newest
}

/** The chat after these messages. */
export function showing(chat: Chat, messages: readonly Shown[], now: number): Chat {
  const listed = messages.filter(({ contentType }) => messageType(contentType).listed)
  return {
    ...chat,
    latest: messages.reduce((latest, { timeSend }) => Math.max(latest, timeSend), chat.latest),
    low: sideShowing(chat.low, listed, now),
    high: sideShowing(chat.high, listed, now),
  }
}

function sideShowing(side: ChatSide, listed: readonly Shown[], now: number): ChatSide {
  let newest = shownPlace(side)
  for (const message of listed)
    if (isVisible(message, { ...side, now }) && (!newest || isNewer(message, newest))) newest = message
  return withShown(side, newest)
}
