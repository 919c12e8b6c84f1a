import type { Payload } from '@im/contracts'
import { internalMessages } from '@im/contracts/message'
import type { friendChanged } from '@im/contracts/social'
import type { MessageToAccount } from '../account-pages/messages-to-accounts.ts'
import type { Deps } from '../deps.ts'
import { answer } from './answer.ts'
import { findReply, foldReplies } from './find-reply.ts'

/** An answer that comes later (ms) would only puzzle. */
const notLaterThan = 600_000
const text = 1
/** A fan is welcomed once a day, however often they leave and come back. */
const welcomes = { max: 1, seconds: 86_400 }
const answers = { max: 10, seconds: 60 }

/** Welcomes who begins to follow an account. Who is made a fan by the account or an administrator did not ask for it. */
export async function welcome(
  deps: Deps,
  { userId, toUserId: account, status, how, at }: Payload<typeof friendChanged>,
  eventId: string,
): Promise<void> {
  const { knownAccounts, accountReplies, now } = deps
  if (status === 0 || (how !== 'followed' && how !== 'befriended') || at < now() - notLaterThan) return
  if (!(await knownAccounts.among([account])).size) return
  const { welcome: content } = await accountReplies.of(account)
  if (content) await answer(deps, { account, user: userId, content, cause: eventId, limit: welcomes })
}

/** Answers the words of users to accounts, each message once. The texts come from the message service; events hold none. */
export async function answerWords(deps: Deps, toAccounts: readonly MessageToAccount[]): Promise<void> {
  const { accountReplies, message, now } = deps
  const recent = toAccounts.filter(
    ({ contentType, isEncrypt, arrivedAt }) => contentType === text && !isEncrypt && arrivedAt >= now() - notLaterThan,
  )
  const replies = await accountReplies.ofAll([...new Set(recent.map(({ to }) => to))])
  for (const [account, some] of Map.groupBy(recent, ({ to }) => to)) {
    const own = replies.get(account)?.replies
    if (!own?.length) continue
    const folded = foldReplies(own)
    const messageIds = some.map(({ messageId }) => messageId)
    const { messages } = await message.call(internalMessages.readMessages, { userId: account, messageIds })
    for (const { messageId, from, body, type } of messages) {
      if (type !== text || from === account || !some.some((one) => one.messageId === messageId && one.from === from))
        continue
      const found = findReply(folded, contentOf(body))
      if (found) await answer(deps, { account, user: from, content: found.content, cause: messageId, limit: answers })
    }
  }
}

function contentOf(body: string): string {
  try {
    const { content } = JSON.parse(body) as { content?: unknown }
    return typeof content === 'string' ? content : ''
  } catch {
    return ''
  }
}
