import { messageType } from '@im/contracts/message'

/** Characters of a notification's text (spec xmpp.md §9). */
const longestBody = 50

export interface Shown {
  contentType: number
  /** The sender, as the receiver knows them. */
  name: string
  /** Name of the room; undefined for single chats. */
  room: string | undefined
  /** The content, or what is said in its place. */
  text: string
  isEncrypt: boolean
  isReadDel: boolean
  mention: 'own' | 'all' | undefined
}

const burntText = '[点击查看T]'
const encryptedText = '[消息]'
const mentionTexts = { own: '[有人@我]', all: '[有全体消息]' }

/** Calls, and what happens among friends and in rooms: the text goes on from the name. */
const isDeed = (type: number) => (type >= 100 && type <= 136) || (type >= 500 && type <= 599) || type >= 900

/** The text of a notification. */
export function notificationBody({ contentType, name, room, text, isEncrypt, isReadDel, mention }: Shown): string {
  if (isDeed(contentType)) return cut(`${name}${text}`)
  const said = isReadDel ? burntText : isEncrypt ? encryptedText : text
  const prefix = mention ? mentionTexts[mention] : ''
  return cut(room === undefined ? `${name}:${prefix}${said}` : `${name}(${room}):${prefix}${said}`)
}

/** What a type says by itself; undefined where the content is shown. */
export function textOfType(contentType: number): string | undefined {
  const { push } = messageType(contentType)
  return push === 'content' ? undefined : push
}

export const isPushedType = (contentType: number): boolean => messageType(contentType).push !== '-'

function cut(text: string): string {
  const characters = [...text]
  return characters.length > longestBody ? `${characters.slice(0, longestBody).join('')}...` : text
}
