import type { MessageDocument } from './message-document.ts'

/** What other services are told of a message that is stored. */
export const announced = (message: Pick<MessageDocument, AnnouncedField>) => ({
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

type AnnouncedField =
  | ('messageId' | 'conversation' | 'from' | 'to' | 'roomJid')
  | ('contentType' | 'timeSend' | 'ts' | 'isEncrypt')
