import type { ResultOf } from '@im/contracts'
import { messageType, type pushedMessages } from '@im/contracts/message'
import { noticeUserId } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import type { UnconfirmedMessage } from '../mailbox/mailbox-repository.ts'
import { announced } from '../messages/announced.ts'
import { keyText } from '../messages/message-document.ts'
import type { GivenMessage } from '../messages/messages-repository.ts'
import { asFlag, isRefused, readBody } from '../read/read-body.ts'
import { bodyIn, type StanzaText } from '../stanzas/stanza-text.ts'

type Unconfirmed = ResultOf<(typeof pushedMessages)['getUnconfirmed']>
type Passed = NonNullable<Unconfirmed['passed']>[number]

const mostMessages = 1000
/** Messages that are not archived are read for their types: that many. */
const mostPassed = 200

/** Messages to these users that came later than `since` (ms) and that none of their devices has confirmed. */
export async function unconfirmed(
  { mailbox, messages, presences, now }: Pick<Deps, 'mailbox' | 'messages' | 'presences' | 'now'>,
  userIds: readonly number[],
  since: number,
): Promise<Unconfirmed> {
  const [waiting, missed] = await Promise.all([
    mailbox.unconfirmed(userIds, since, mostMessages),
    presences.missed(userIds),
  ])
  const [found, given] = await Promise.all([messages.byKeys(waiting), messages.given(missed)])
  const ofChats: Map<string, GivenMessage> = new Map(found)
  for (const message of given) if (message.ts > since) ofChats.set(keyText(message), message)
  const live = [...ofChats.values()]
    .filter(({ gone, expireAt }) => !gone && !(expireAt && expireAt.getTime() <= now()))
    .sort((a, b) => b.ts - a.ts)
    .slice(0, mostMessages)
  const inChats = new Set(given.map(({ to, messageId }) => `${to} ${messageId}`))
  const inRooms = missed.map(({ userId, messageIds }) => ({
    userId,
    messageIds: messageIds.filter((id) => !inChats.has(`${userId} ${id}`)),
  }))
  const others = waiting.filter((message) => !found.has(keyText(message)))
  // What happens in rooms push has heard of from the room service, under the same id.
  const [notices, passed] = [others.filter(isNotice), others.filter((one) => !isNotice(one)).slice(0, mostPassed)]
  const texts = await mailbox.textsOf(passed.map(({ rowId }) => rowId))
  return {
    messages: live.map(announced),
    passed: passed.flatMap((message) => passedOf(message, texts.get(message.rowId)) ?? []),
    inRooms: [
      ...inRooms.filter(({ messageIds }) => messageIds.length),
      ...notices.map(({ user, messageId }) => ({ userId: user, messageIds: [messageId] })),
    ],
  }
}

const isNotice = ({ from }: UnconfirmedMessage) => from === noticeUserId

/** What push has to know of a message that is not archived; undefined when it is not pushed. */
function passedOf({ messageId, from, user, at }: UnconfirmedMessage, text: StanzaText = ''): Passed | undefined {
  const body = readBody(bodyIn(text) ?? '')
  if (isRefused(body)) return undefined
  const { type, fields } = body
  const isReadDel = asFlag(fields['isReadDel'])
  const { push, archived } = messageType(type)
  if (push === '-' || (archived && !isReadDel)) return undefined
  const time = { timeSend: Math.floor(at / 1000), arrivedAt: at }
  return {
    ...{ messageId, from, to: user, contentType: type, ...time },
    isEncrypt: asFlag(fields['isEncrypt']),
    isReadDel,
  }
}
