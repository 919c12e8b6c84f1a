import { ContractError } from '@im/contracts'
import { internalBroadcasts } from '@im/contracts/push'
import { ObjectId } from 'mongodb'
import type { Deps } from '../deps.ts'
import { articleText } from './article-text.ts'
import { webAddress } from './web-address.ts'

type SendDeps = Pick<Deps, 'relations' | 'names' | 'push' | 'openSends' | 'now'>

const [text, article, articles] = [1, 80, 81]

/**
 * Sends a message to all who follow an account now, in the background. Returns how many they are. Who hears that it failed may send
 * it again: it comes once.
 */
async function sendToAll(
  { relations, names, push, openSends, now }: SendDeps,
  account: number,
  body: { type: number; content: string },
): Promise<{ count: number }> {
  const until = Math.floor(now() / 1000)
  const [count, name] = await Promise.all([relations.countFans(account, until), names.ofOne(account)])
  const job = { fromUserId: account, fromUserName: name?.nickname ?? '', of: count, until, ...body }
  await openSends.once(
    ['broadcast', account, body.type, body.content],
    () => new ObjectId().toHexString(),
    (id) => push.call(internalBroadcasts.createBroadcast, { id, ...job }),
  )
  return { count }
}

export const sendTextToAll = (deps: SendDeps, account: number, title: string) =>
  sendToAll(deps, account, { type: text, content: title })

export function sendArticleToAll(
  deps: SendDeps,
  account: number,
  { title, sub, img, url }: { title: string; sub: string; img: string; url: string },
) {
  const shown = { title, sub, img: webAddress(img, 'img'), url: webAddress(url, 'url') }
  return sendToAll(deps, account, { type: article, content: articleText(shown) })
}

/** The lists belong to each other by position. A row of a form that nobody filled in is blank in all of them. */
export function sendArticlesToAll(
  deps: SendDeps,
  account: number,
  { title, url, img }: { title: string[]; url: string[]; img: string[] },
) {
  if (url.length !== title.length || img.length !== title.length)
    throw new ContractError('InvalidParams', { detail: 'title, url, img: lists of one length' })
  const rows = title.map((each, n) => ({ title: each, url: url[n]!, img: img[n]! }))
  const filled = rows.filter((row) => Object.values(row).some(Boolean))
  if (!filled.length) throw new ContractError('MissingParam', { detail: 'title' })
  if (!filled.every((row) => Object.values(row).every(Boolean)))
    throw new ContractError('InvalidParams', { detail: 'title, url, img: one of an article is blank' })
  const shown = filled.map((row) => ({
    ...{ title: row.title, url: webAddress(row.url, 'url'), img: webAddress(row.img, 'img') },
  }))
  return sendToAll(deps, account, { type: articles, content: articleText(shown) })
}
