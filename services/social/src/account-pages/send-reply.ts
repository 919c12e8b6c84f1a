import { randomBytes } from 'node:crypto'
import { ContractError, type Params } from '@im/contracts'
import { accountChats as contract, serverMessages } from '@im/contracts/message'
import type { accountMessages } from '@im/contracts/social'
import type { Deps } from '../deps.ts'
import { articleText } from './article-text.ts'
import { webAddress } from './web-address.ts'

type Send = (typeof accountMessages)['sendReply']

const [text, image, article] = [1, 2, 80]

/**
 * Writes to a fan, or to somebody who wrote to the account before; to nobody who blocked it. Who hears that it failed may send it
 * again: it comes once.
 */
export async function sendReply(
  deps: Pick<Deps, 'relations' | 'accountChats' | 'message' | 'names' | 'openSends'>,
  account: number,
  { toUserId, body, type }: Params<Send>,
): Promise<void> {
  const content = contentOf(type, body)
  if (toUserId === account || !(await mayWrite(deps, account, toUserId))) throw new ContractError('NotFriends')
  const names = await deps.names.of([account, toUserId])
  const [fromUserName, name] = [names.get(account)?.nickname ?? '', names.get(toUserId)?.nickname ?? '']
  const send = (messageId: string) =>
    deps.message.call(serverMessages.sendToUsers, {
      ...{ from: account, fromUserName, type, content },
      receivers: [{ userId: toUserId, name, messageId }],
    })
  await deps.openSends.once(['reply', account, toUserId, type, content], () => randomBytes(16).toString('hex'), send)
}

async function mayWrite(
  { relations, accountChats, message }: Pick<Deps, 'relations' | 'accountChats' | 'message'>,
  account: number,
  user: number,
): Promise<boolean> {
  const fan = await relations.byId(user, account)
  if (fan?.blacklist) return false
  if (fan?.status || (await accountChats.has(account, user))) return true
  // A message of this moment may not be noted yet.
  const { messages } = await message.call(contract.findNewestReceived, { userId: account, peers: [user] })
  return messages.length > 0
}

function contentOf(type: number, body: string): string {
  if (type === text) return body
  if (type === image) return webAddress(body, 'body')
  if (type === article) return articleOf(body)
  throw new ContractError('InvalidParams', { detail: 'type' })
}

/** An article as apps show it: four texts, of which two are addresses. */
function articleOf(body: string): string {
  const { title, sub = '', img = '', url = '' } = parsed(body)
  if (![title, sub, img, url].every((field) => typeof field === 'string') || !title)
    throw new ContractError('InvalidParams', { detail: 'body: no article' })
  return articleText({ title, sub, img: webAddress(img as string, 'img'), url: webAddress(url as string, 'url') })
}

function parsed(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
