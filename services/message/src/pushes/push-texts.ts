import type { ResultOf } from '@im/contracts'
import type { pushedMessages } from '@im/contracts/message'
import { keyText, type MessageDocument, type MessageKey } from '../archive/message-document.ts'
import { boundIds } from '../deliver/message-document.ts'
import type { Deps } from '../deps.ts'
import { asText, isRefused, readBody } from '../read/read-body.ts'

export type PushText = ResultOf<typeof pushedMessages.getPushTexts>['texts'][number]

/** Characters (UTF-16 units) of a content that are shown; notifications cut it to 50 characters with its sender's name. */
const longestText = 200
const [text, recall] = [1, 202]
const nothing: PushText = { isThere: false, text: '', mentioned: [], mentionsAll: false, recalled: [] }

/** What notifications show of messages, in their order. */
export async function pushTexts(
  { messages, now }: Pick<Deps, 'messages' | 'now'>,
  keys: readonly MessageKey[],
): Promise<PushText[]> {
  const found = await messages.byKeys(keys)
  return keys.map((key) => {
    const message = found.get(keyText(key))
    const isThere = message && !message.gone && !(message.expireAt && message.expireAt.getTime() <= now())
    return isThere ? textOf(message) : nothing
  })
}

function textOf({ contentType, content, isEncrypt, body, roomJid }: MessageDocument): PushText {
  const mentions = roomJid !== undefined && contentType === text ? mentionsIn(body, roomJid) : []
  return {
    isThere: true,
    text: isEncrypt || contentType === recall ? '' : content.slice(0, longestText).toWellFormed(),
    mentioned: mentions.filter((mention) => mention !== 'all'),
    mentionsAll: mentions.includes('all'),
    recalled: contentType === recall ? boundIds(content) : [],
  }
}

const mostMentions = 1000

/** Whom a text in a room names: `objectId` holds userIds separated by blanks, or the jid of the room, which names all. */
function mentionsIn(bodyText: string, roomJid: string): (number | 'all')[] {
  const body = readBody(bodyText)
  const objectId = isRefused(body) ? '' : asText(body.fields['objectId']).trim()
  if (objectId.toLowerCase() === roomJid) return ['all']
  const ids = objectId.split(/[\s,]+/, mostMentions).filter((id) => /^[1-9]\d{0,9}$/.test(id))
  return ids.map(Number)
}
