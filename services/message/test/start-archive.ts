import { randomBytes } from 'node:crypto'
import { archive } from '@im/contracts/message'
import { eventually } from '@im/service-kit/testing'
import { ObjectId } from 'mongodb'
import type { Test } from 'tap'
import { type ArchiveEntry, archiveBatch } from '../src/archive/archive-batch.ts'
import type { Deps } from '../src/deps.ts'
import { roomConversation, singleConversation } from '../src/messages/conversations.ts'
import type { MessageDocument } from '../src/messages/message-document.ts'
import { startMessage } from './start-message.ts'

export interface Said {
  content?: string
  /** Seconds; now unless given. */
  timeSend?: number
  /** Arrival in ms; now unless given. */
  ts?: number
  type?: number
  id?: string
  /** Seconds. */
  deleteTime?: number
  toName?: string
}

/** A message as the feed makes it of a stanza. */
export function messageOf(from: number, to: number | string, said: Said = {}): MessageDocument {
  const { content = 'hi', type = 1, deleteTime = -1, id = randomBytes(16).toString('hex') } = said
  const ts = said.ts ?? Date.now()
  return {
    _id: new ObjectId(),
    conversation: typeof to === 'number' ? singleConversation(from, to) : roomConversation(to),
    messageId: id,
    from,
    ...(typeof to === 'number' ? { to } : { roomJid: to }),
    fromJid: `${from}@im.localhost/android`,
    toJid: `${to}@im.localhost`,
    nickname: `n${from}`,
    toName: said.toName ?? `n${to}`,
    body: JSON.stringify({ type, content }),
    contentType: type,
    content,
    timeSend: said.timeSend ?? ts / 1000,
    ts,
    deleteTime,
    ...(deleteTime > 0 ? { expireAt: new Date(deleteTime * 1000) } : {}),
    isEncrypt: false,
    isRead: false,
    deletedFor: [],
    searchable: [1, 8, 9, 10, 94].includes(type),
    tap: '',
  }
}

/** One log of an XMPP server. Entries get the next places; the same entry archived again is a replay. */
export function createLog(deps: Deps) {
  const name = randomBytes(16).toString('hex')
  let seq = 0
  const log = {
    entry(from: number, to: number | string, said: Said = {}): ArchiveEntry & { store: MessageDocument } {
      const tap = `${name}:${++seq}`
      return { tap, store: { ...messageOf(from, to, said), tap } }
    },
    /** A 202 of `by` that takes messages back. */
    recall(by: number, to: number | string, messageIds: string[], more: { anybody?: true; ts?: number } = {}) {
      const { ts, ...rest } = more
      const entry = log.entry(by, to, { type: 202, content: messageIds.join(), ...(ts ? { ts } : {}) })
      return { ...entry, recall: { conversation: entry.store.conversation, by, messageIds, ...rest } }
    },
    read(reader: number, author: number, messageIds: string[]): ArchiveEntry {
      const conversation = singleConversation(reader, author)
      return { tap: `${name}:${++seq}`, read: { conversation, author, messageIds } }
    },
    archive: (entries: readonly ArchiveEntry[], using: Deps = deps) => archiveBatch(using, entries),
    /** Archives one message; gives its id. */
    async say(from: number, to: number | string, said: Said = {}): Promise<string> {
      const entry = log.entry(from, to, said)
      await archiveBatch(deps, [entry])
      return entry.store.messageId
    },
  }
  return log
}

/** The message service without an XMPP server: messages come from logs of the test. */
export async function startArchive(t: Test, options: Parameters<typeof startMessage>[1] = {}) {
  const running = await startMessage(t, {
    ...options,
    env: { XMPP_COMPONENT_URL: 'xmpp://127.0.0.1:1', ...options.env },
  })
  const { api, deps } = running
  let nextUser = 10_001_000
  return {
    ...running,
    log: createLog(deps),
    /** Two people nobody else knows. */
    pair: () => [nextUser++, nextUser++] as const,
    person: () => nextUser++,
    history: (owner: number, receiver: number, more = {}) =>
      api.call(archive.listSingleHistory, { receiver, ...more }, { as: owner }),
    chats: (owner: number, more = {}) => api.call(archive.listLastChats, more, { as: owner }),
    remove: (owner: number, messageId: string[], how: 1 | 2) =>
      api.call(archive.deleteMessages, { messageId, delete: how }, { as: owner }),
    clear: (owner: number, peer?: number) =>
      api.call(archive.clearChats, peer === undefined ? { type: 1 } : { type: 0, toUserId: peer }, { as: owner }),
    until: <T>(probe: () => T | Promise<T>) => eventually(probe, 20_000),
    /** As if Redis had lost them. */
    async forgetCursors() {
      const prefix = deps.redis.options.keyPrefix ?? ''
      const keys = await deps.redis.keys(`${prefix}page:*`)
      if (keys.length) await deps.redis.del(keys.map((key) => key.slice(prefix.length)))
    },
    /** Names of the collections that hold a text, in whatever form. */
    async placesOf(text: string): Promise<string[]> {
      const found: string[] = []
      for (const { name } of await deps.db.listCollections().toArray())
        for await (const bytes of deps.db.collection(name).find({}, { raw: true }))
          if (Buffer.from(bytes as unknown as Uint8Array).includes(text)) {
            found.push(name)
            break
          }
      return found
    },
  }
}
