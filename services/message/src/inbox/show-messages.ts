import { messageType } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { isNewer, isVisible, type MessageDocument, type Place, type Visibility } from '../messages/message-document.ts'
import { type Chat, type ChatSide, newChat, shownPlace, withShown } from './chats-repository.ts'

/** What decides where a message is shown. */
export type ShownMessage = Place & Visibility & Pick<MessageDocument, 'conversation' | 'contentType' | 'to'>

/** Shows archived messages in the lists of rooms where they are the newest, and so those that were archived before. */
export const showInRooms = ({ roomChats }: Pick<Deps, 'roomChats'>, messages: readonly ShownMessage[]): Promise<void> =>
  roomChats.show(newestOfRooms(messages))

/** The same in the lists of both sides of single chats. */
export async function showInChats(
  { chats, outbox, now }: Pick<Deps, 'chats' | 'outbox' | 'now'>,
  messages: readonly ShownMessage[],
): Promise<void> {
  const conversations = chatsOf(messages)
  if (!conversations.length) return
  await outbox.commit(async (change) => {
    const known = await chats.byIds(conversations, change.session)
    chats.write(showing(known, messages, now()), change)
  })
}

const isShownInChat = ({ to, gone }: ShownMessage) => to !== undefined && !gone

/** The single chats that change when these are shown. */
export const chatsOf = (messages: readonly ShownMessage[]): string[] => [
  ...new Set(messages.filter(isShownInChat).map(({ conversation }) => conversation)),
]

/** Single chats after these messages. */
export const showing = (known: ReadonlyMap<string, Chat>, messages: readonly ShownMessage[], now: number): Chat[] =>
  [...Map.groupBy(messages.filter(isShownInChat), ({ conversation }) => conversation)].map(([conversation, some]) =>
    chatShowing(known.get(conversation) ?? newChat(conversation), some, now),
  )

/** The newest listed message of each room. */
function newestOfRooms(messages: readonly ShownMessage[]): Map<string, Place> {
  const newest = new Map<string, Place>()
  for (const message of messages) {
    const { to, gone, conversation, contentType } = message
    if (to !== undefined || gone || !messageType(contentType).listed) continue
    const before = newest.get(conversation)
    if (!before || isNewer(message, before)) newest.set(conversation, message)
  }
  return newest
}

function chatShowing(chat: Chat, messages: readonly ShownMessage[], now: number): Chat {
  const listed = messages.filter(({ contentType }) => messageType(contentType).listed)
  return {
    ...chat,
    latest: messages.reduce((latest, { timeSend }) => Math.max(latest, timeSend), chat.latest),
    low: sideShowing(chat.low, listed, now),
    high: sideShowing(chat.high, listed, now),
  }
}

function sideShowing(side: ChatSide, listed: readonly ShownMessage[], now: number): ChatSide {
  let newest = shownPlace(side)
  for (const message of listed)
    if (message.ts > (side.hiddenAt ?? 0) && isVisible(message, { ...side, now }))
      if (!newest || isNewer(message, newest)) newest = message
  return withShown(side, newest)
}
