import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '@im/service-kit'
import type { ChatsRepository } from '../inbox/chats-repository.ts'
import { type MailboxRepository, rowId } from '../mailbox/mailbox-repository.ts'
import { isVisible, type MessageDocument } from '../messages/message-document.ts'
import { laterText, stanzaId } from '../messages/message-row.ts'
import type { MessagesRepository } from '../messages/messages-repository.ts'
import type { Outgoing } from '../streams/delivery.ts'
import type { OwnStream } from '../streams/own-stream.ts'
import type { Deliverer } from './deliverer.ts'

/** So long (ms) after its login a stream is heard of late: its server was out of reach, or nobody held it. */
const lateAfter = 300
/** A server that is silent for longer (ms) counts as lost before. */
const longestSilence = 60_000
/** How far (seconds) the time that a message says of itself may be before its arrival. */
const clocksDiffer = 60
/** Those who come together (ms) are looked up together, so many of them at once. */
const gatherFor = 100
const usersAtOnce = 200
/** Chats of these users that were written to meanwhile, so many of them at once, and messages of these, that are looked at. */
const mostChats = 2000
const chatsAtOnce = 100
const mostOfChats = 5000

interface Late {
  stream: OwnStream
  /** When we heard of it (ms). */
  heardAt: number
}

/**
 * Streams of which we hear late. Messages that came meanwhile went to the other devices of their users, or to whichever came first: they
 * are owed to these, too, and go through the mailbox.
 */
export class LateStreams {
  readonly #chats: ChatsRepository
  readonly #messages: MessagesRepository
  readonly #mailbox: MailboxRepository
  readonly #deliverer: Deliverer
  readonly #log: Logger
  readonly #now: () => number
  readonly #closing = new AbortController()
  #waiting: Late[] = []
  #working: Promise<void> | undefined

  constructor(options: {
    chats: ChatsRepository
    messages: MessagesRepository
    mailbox: MailboxRepository
    deliverer: Deliverer
    log: Logger
    now: () => number
  }) {
    this.#chats = options.chats
    this.#messages = options.messages
    this.#mailbox = options.mailbox
    this.#deliverer = options.deliverer
    this.#log = options.log
    this.#now = options.now
  }

  /** A stream is new here. `ahead` (ms): how much our clock is ahead of its server's. One that was given something was known before. */
  came(stream: OwnStream, ahead: number): void {
    const { since, delivered } = stream.report
    const heardAt = this.#now()
    const silence = heardAt - ahead - since
    if (delivered > 0 || silence < lateAfter || silence > longestSilence || this.#closing.signal.aborted) return
    stream.cameLate = true
    this.#waiting.push({ stream, heardAt })
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined
    })
  }

  async #work(): Promise<void> {
    const { signal } = this.#closing
    let attempt = 0
    for (let wait = gatherFor; ; wait = Math.min(100 * 2 ** attempt, 1000)) {
      await delay(wait, undefined, { signal }).catch(() => {})
      if (signal.aborted || !this.#waiting.length) return
      const some = this.#waiting.slice(0, usersAtOnce)
      try {
        await this.#owe(some.filter(({ stream }) => !stream.ended))
        this.#waiting.splice(0, some.length)
        attempt = 0
      } catch (error) {
        attempt++
        this.#log.warn(
          { reason: String(error), attempt },
          'what late streams have missed could not be read; trying again',
        )
      }
    }
  }

  async #owe(late: readonly Late[]): Promise<void> {
    const ofUser = Map.groupBy(late, ({ stream }) => stream.report.user)
    const from = Math.floor(Math.min(...late.map(({ stream }) => stream.report.since)) / 1000) - clocksDiffer
    const missed = new Map<Late, MessageDocument[]>()
    const chats = await this.#chats.writtenTo([...ofUser.keys()], from, mostChats)
    for (let at = 0; at < chats.length; at += chatsAtOnce)
      for (const message of await this.#messages.since(chats.slice(at, at + chatsAtOnce), from, mostOfChats))
        for (const one of ofUser.get(message.to ?? 0) ?? [])
          if (this.#hasMissed(one, message)) missed.set(one, [...(missed.get(one) ?? []), message])
    for (const [resource, some] of Map.groupBy(missed, ([{ stream }]) => stream.resource)) {
      const idOf = ({ to = 0, from, messageId }: MessageDocument) => rowId(to, from, messageId)
      const ids = some.flatMap(([, messages]) => messages.map(idOf))
      // What stands there is handed over with the rest of the mailbox.
      const waits = await this.#mailbox.read(ids, resource)
      for (const [{ stream }, messages] of some)
        for (const message of messages)
          if (!waits.has(idOf(message)) && !stream.ended) this.#deliverer.owe(stream, outgoingOf(message))
    }
  }

  /** What was stored after we had heard of the stream was given to it. Both moments of arrival are told by XMPP servers. */
  #hasMissed({ stream: { report }, heardAt }: Late, message: MessageDocument): boolean {
    const { _id, ts } = message
    const isStoredBefore = _id.getTimestamp().getTime() <= heardAt
    return ts >= report.since && isStoredBefore && isVisible(message, { user: report.user, now: this.#now() })
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#working
  }
}

const outgoingOf = (message: MessageDocument): Outgoing => ({
  user: message.to!,
  from: message.from,
  messageId: message.messageId,
  conversation: message.conversation,
  at: message.ts,
  seq: Number(message.tap.slice(message.tap.lastIndexOf(':') + 1)),
  text: laterText(message),
  id: stanzaId(message),
  waits: 'month',
  ...(message.expireAt ? { expireAt: message.expireAt.getTime() } : {}),
  audience: { kind: 'available' },
})
