import { upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import { keyText, type MessageDocument, type MessageKey } from './message-document.ts'
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

  /**
   * The messages of a batch that are to be stored, with their places; `all` are those of the batch in the order of its log, `known` what
   * of them was stored before.
   */
  place(
    messages: readonly MessageDocument[],
    all: readonly MessageKey[],
    known: ReadonlyMap<string, KnownMessage>,
  ): MessageDocument[] {
    if (!known.size && !this.#last.size) return [...messages]
    const stored = new Map(messages.map((message) => [keyText(message), message]))
    const placed = all.flatMap((one) => {
      const key = keyText(one)
      const message = stored.get(key)
      stored.delete(key)
      if (message) return this.#placed(message)
      const before = known.get(key)
      if (before && !before.gone) this.#remember(before)
      return []
    })
    return placed
  }

  /** Of messages that are stored already. */
  remember(places: readonly (Place & Pick<MessageDocument, 'from' | 'conversation'>)[]): void {
    for (const place of places) this.#remember(place)
  }

  #placed(message: MessageDocument): MessageDocument {
    const last = this.#last.get(keyOf(message))
    if (last?.timeSend !== message.timeSend) return message
    const placed = { ...message, ts: Math.max(message.ts, last.ts + 1) }
    this.#remember(placed)
    return placed
  }

  #remember({ timeSend, ts, ...message }: Place & Pick<MessageDocument, 'from' | 'conversation'>): void {
    const key = keyOf(message)
    const last = this.#last.get(key)
    if (!last || timeSend > last.timeSend || (timeSend === last.timeSend && ts > last.ts))
      this.#last.set(key, { timeSend, ts })
  }
}

const keyOf = ({ from, conversation }: Pick<MessageDocument, 'from' | 'conversation'>) => `${from} ${conversation}`
