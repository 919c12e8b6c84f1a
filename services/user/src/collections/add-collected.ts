import { createHash } from 'node:crypto'
import { type Call, ContractError } from '@im/contracts'
import { fileAddressesIn, internalFiles } from '@im/contracts/message'
import { ObjectId } from 'mongodb'
import type { Deps } from '../deps.ts'
import { readMessages } from '../messages/read-messages.ts'
import { type CollectedDocument, type CollectedItem, emojiType } from './collected-repository.ts'
import { readItems } from './read-items.ts'

export interface Collecting {
  /** Items as apps send them; else the fields below. */
  emoji?: unknown
  messageId?: string
  msgId?: readonly string[]
  type?: readonly number[]
  roomJid?: string
  url?: string
}

type Waiting = Pick<Call, 'deadline' | 'signal'>

/** Keeps messages, links or emoji for the caller. Throws AlreadyCollected when nothing of it is new. */
export async function addCollected(deps: Deps, userId: number, given: Collecting, waiting: Waiting): Promise<void> {
  const { collected, now } = deps
  const items =
    given.emoji === undefined ? await itemsOf(deps, userId, given, waiting) : readItems(given.emoji, given.messageId)
  const createTime = Math.floor(now() / 1000)
  const rows = items.map((item) => rowOf(userId, item, createTime))
  const known = await collected.known(
    userId,
    rows.flatMap(({ sameAs }) => sameAs),
  )
  const fresh = rows.filter(({ sameAs }) => {
    const isKnown = sameAs.some((mark) => known.has(mark))
    for (const mark of sameAs) known.add(mark)
    return !isKnown
  })
  await keepFiles(deps, fresh, waiting)
  if (!fresh.length || !(await collected.add(fresh))) throw new ContractError('AlreadyCollected')
}

/** The form of the document: ids of messages with a type each, or the address of an emoji. */
async function itemsOf(
  deps: Deps,
  userId: number,
  { msgId: messageIds = [], type: types = [], roomJid, url }: Collecting,
  waiting: Waiting,
): Promise<CollectedItem[]> {
  const plain = { fileLength: 0, fileSize: 0, collectType: 0 }
  if (!messageIds.length) {
    if (!url) throw new ContractError('MissingParam', { detail: 'url' })
    return [{ ...plain, type: emojiType, url, collectType: -1 }]
  }
  if (types.length !== messageIds.length)
    throw new ContractError('InvalidParams', { detail: 'type: one for each msgId' })
  const room = !roomJid || roomJid === '0' ? undefined : roomJid
  const bodies = await readMessages(deps, { userId, messageIds, room }, waiting)
  return messageIds.map((msgId, n) => {
    const message = bodies.get(msgId)
    if (!message) throw new ContractError('MessageNotFound')
    const ofRoom = room === undefined ? {} : { roomJid: room }
    return { ...plain, type: types[n] ?? 0, msgId, msg: message.body, ...ofRoom, ...(url ? { url } : {}) }
  })
}

/** What is collected stays, also when the message it came with is recalled. */
async function keepFiles({ message }: Deps, fresh: readonly CollectedItem[], waiting: Waiting): Promise<void> {
  const urls = fresh
    .flatMap(({ url = '', msg = '' }) => [...fileAddressesIn(url), ...fileAddressesIn(msg)])
    .map(({ address }) => address)
  if (urls.length) await message.call(internalFiles.keepFiles, { urls: [...new Set(urls)].slice(0, 1000) }, waiting)
}

/** An item is the same as another of its type with the same message id, or the same content. */
function rowOf(userId: number, item: CollectedItem, createTime: number): CollectedDocument {
  const { type, msg, msgId, url } = item
  const marks = [
    ...(msgId === undefined ? [] : [`id ${type} ${msgId}`]),
    ...(msg === undefined ? [] : [`msg ${type} ${hash(msg)}`]),
  ]
  const sameAs = marks.length ? marks : [`url ${type} ${hash(url ?? '')}`]
  return { _id: new ObjectId(hash(`${userId} ${sameAs[0]}`).slice(0, 24)), userId, ...item, sameAs, createTime }
}

const hash = (text: string) => createHash('sha256').update(text).digest('hex')
