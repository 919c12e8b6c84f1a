import type { ResultOf } from '@im/contracts'
import type { pushedMessages } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { keyText, type MessageDocument, type MessageKey } from '../messages/message-document.ts'
import { boundIds } from '../messages/new-document.ts'
import { asText, isRefused, readBody } from '../read/read-body.ts'
import { mentionsIn } from './mentions.ts'

export type PushText = ResultOf<typeof pushedMessages.getPushTexts>['texts'][number]

/** Characters (UTF-16 units) of a content that are shown; notifications cut it to 50 characters with its sender's name. */
const longestText = 200
const [text, recall] = [1, 202]
const noMentions = { mentioned: [], mentionsAll: false }
const nothing: PushText = { isThere: false, text: '', ...noMentions, recalled: [] }

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
  return {
    isThere: true,
    text: isEncrypt || contentType === recall ? '' : content.slice(0, longestText).toWellFormed(),
    ...(roomJid !== undefined && contentType === text ? mentionsIn(objectIdOf(body), roomJid) : noMentions),
    recalled: contentType === recall ? boundIds(content) : [],
  }
}

function objectIdOf(bodyText: string): string {
  const body = readBody(bodyText)
  return isRefused(body) ? '' : asText(body.fields['objectId'])
}
