import { upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'
import type { MessageDocument, Tie } from '../messages/message-document.ts'

type Pair = Pick<MessageDocument, 'conversation' | 'from'>

const most = 100_000
/** Longer than copies that were sent over two servers follow each other. */
const rememberFor = 600_000

/** Who sent messages again lately, and in which conversation: what they send is looked at apart. */
export class Resenders {
  readonly #pairs = new LRUCache<string, true>({ ...upTo(most), ttl: rememberFor, ttlResolution: 1000 })

  add(messages: Iterable<Pair>): void {
    for (const message of messages) this.#pairs.set(pairOf(message), true)
  }

  has(message: Pair): boolean {
    return this.#pairs.has(pairOf(message))
  }
}

/**
 * Keeps the order of messages that their sender sent in one moment (apps count in seconds) over two servers, as after a connection
 * broke: some are taken as they came by one, some as they came by the other, and arrival there says nothing of arrival here.
 * Who sends again sends all that was not confirmed, in order: whatever is stored behind a message that had come by another log
 * already was sent after that one, and stands behind it. `messages` are in the order of their log, `ties` what is stored of their
 * moments.
 */
export function behindTies(messages: readonly MessageDocument[], ties: Iterable<Tie>): MessageDocument[] {
  const least = new Map<string, number>()
  for (const tie of ties) least.set(momentOf(tie), Math.max(tie.ts + 1, least.get(momentOf(tie)) ?? 0))
  if (!least.size) return [...messages]
  return messages.map((message) => {
    const ts = Math.max(message.ts, least.get(momentOf(message)) ?? 0)
    // Not one more: those of one log and time stand in the order of their ids, also with what its next batch brings.
    if (least.has(momentOf(message))) least.set(momentOf(message), ts)
    return ts === message.ts ? message : { ...message, ts }
  })
}

const pairOf = ({ from, conversation }: Pair) => `${from} ${conversation}`

const momentOf = (tie: Tie) => `${tie.timeSend} ${pairOf(tie)}`
