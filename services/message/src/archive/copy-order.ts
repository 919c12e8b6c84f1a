import { upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import type { MessageDocument } from './message-document.ts'
import type { KnownMessage } from './messages-repository.ts'

type Place = Pick<MessageDocument, 'timeSend' | 'ts'>

const most = 100_000
/** Longer than copies that were sent over two servers follow each other. */
const rememberFor = 600_000

/**
 * Keeps the order of messages that their sender sent in one moment (apps count in seconds) over two servers, as after a connection
 * broke: some are taken as they came by one, some as they came by the other, and arrival there says nothing of arrival here.
 * Who sends again sends all that was not confirmed, in order: whatever is stored behind a message that had come by another log
 * already was sent after that one, and stands behind it.
 */
export class CopyOrder {
  readonly #last = new LRUCache<string, Place>({ ...upTo(most), ttl: rememberFor, ttlResolution: 1000 })

  /** The messages, in the order of their log, with their places; `known` are those of the batch that were stored before. */
  place(messages: readonly MessageDocument[], known: ReadonlyMap<string, KnownMessage>): MessageDocument[] {
    for (const one of known.values()) if (!one.gone) this.#remember(one)
    if (!this.#last.size) return [...messages]
    return messages.map((message) => {
      const last = this.#last.get(keyOf(message))
      if (!last) return message
      // Without a time of its sender it stands where it arrived.
      const isByArrival = message.timeSend === message.ts / 1000
      const timeSend = isByArrival ? Math.max(message.timeSend, last.timeSend) : message.timeSend
      const placed =
        timeSend === last.timeSend ? { ...message, timeSend, ts: Math.max(message.ts, last.ts + 1) } : message
      this.#remember(placed)
      return placed
    })
  }

  #remember({ timeSend, ts, ...message }: Place & Pick<MessageDocument, 'from' | 'conversation'>): void {
    const key = keyOf(message)
    const last = this.#last.get(key)
    if (!last || timeSend > last.timeSend || (timeSend === last.timeSend && ts > last.ts))
      this.#last.set(key, { timeSend, ts })
  }
}

const keyOf = ({ from, conversation }: Pick<MessageDocument, 'from' | 'conversation'>) => `${from} ${conversation}`
