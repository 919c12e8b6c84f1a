import { type Params, pageOf, type ResultOf } from '@im/contracts'
import { accountChats as contract } from '@im/contracts/message'
import type { accountMessages } from '@im/contracts/social'
import { skipOf } from '@im/service-kit'
import type { Deps } from '../deps.ts'

type List = (typeof accountMessages)['listWriters']

/** One row for each user who wrote to an account: their newest message, and how many are unread. */
export async function listWriters(
  { accountChats, message, names, talks }: Pick<Deps, 'accountChats' | 'message' | 'names' | 'talks'>,
  account: number,
  page: Params<List>,
): Promise<ResultOf<List>> {
  const skip = skipOf(page)
  if (skip === undefined) return pageOf([], 0, page.pageIndex, page.pageSize)
  const { users, total } = await accountChats.page(account, skip, page.pageSize)
  if (!users.length) return pageOf([], total, page.pageIndex, page.pageSize)
  const [{ messages }, known, talked] = await Promise.all([
    message.call(contract.findNewestReceived, { userId: account, peers: users }),
    names.of(users),
    talks.of(account, users),
  ])
  const newest = new Map(messages.map((row) => [row.receiver, row]))
  // Who took back all they wrote is left out.
  const rows = users.flatMap((sender) => {
    const row = newest.get(sender)
    if (!row) return []
    const { content, body, contentType: type, isEncrypt, messageId, timeSend } = row
    return {
      ...{ sender, receiver: account, nickname: known.get(sender)?.nickname ?? '' },
      ...{ count: talked.get(sender)?.unread ?? 0, content, body, type, isEncrypt, messageId, timeSend },
    }
  })
  return pageOf(rows, total, page.pageIndex, page.pageSize)
}
