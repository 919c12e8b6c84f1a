import type { Room } from './room.ts'

/** Times are ms of performance.now(). */
export interface Delivery {
  device: string
  /** Of the device: a resumed stream is the same one. */
  stream: number
  at: number
}

export type Kind = 'chat' | 'recall' | 'read' | 'forbidden' | 'typing'

/** A message somebody sent, and all that clients saw of it. */
export interface Message {
  id: string
  kind: Kind
  from: number
  /** 0 in a room. */
  to: number
  room?: Room
  /** `<user>/<resource>` that sends it. */
  device: string
  body: string
  /** Messages that it recalls or tells to be read. */
  names: readonly string[]
  /**
   * Place among what its device has sent; undefined when it was refused and came again later, also when its device has not heard of
   * that: it is another attempt, and stands where that came.
   */
  place: number | undefined
  /** When it was written to a stream, each time. */
  sentAt: number[]
  receiptAt?: number
  /** Conditions of refusals. */
  refusals: { condition: string; at: number }[]
  /** Refused for good, or its sender gave it up after a refusal. */
  isGivenUp: boolean
  deliveries: Delivery[]
}

/** A stream of a device, as its client saw it. */
export interface Stream {
  device: string
  number: number
  server: number
  beganAt: number
  /** When the server had taken its presence. */
  availableAt: number
  endedAt: number
  /** The client closed it, and read until the server had closed it, too. */
  isClosedCleanly: boolean
  /** Rooms it has joined: since when, and until when. */
  joins: Map<string, { from: number; to: number }>
  /** Its client tells what it has got (XEP-0198 or xmpp:shiku:ack). */
  confirms: boolean
}

/** A clear of a chat by one of its sides: asked at `from`, done at `to`. */
export interface Clear {
  user: number
  peer: number
  from: number
  to: number
}

/** All that the clients of a run saw. */
export class Ledger {
  readonly messages = new Map<string, Message>()
  readonly streams: Stream[] = []
  readonly clears: Clear[] = []
  /** Stanzas that should not have come, in words. */
  readonly strange: string[] = []
  lastDeliveryAt = 0
  readonly #newest = new Map<string, string[]>()
  readonly #isNotice: (body: string) => boolean

  /** `isNotice`: whether a message that nobody sent is one of the server's own, which nothing is noted of. */
  constructor(isNotice: (body: string) => boolean = () => false) {
    this.#isNotice = isNotice
  }

  /** A line of a service's log. It tells of refusals that nobody was there to hear any more. */
  logged(line: string): void {
    const id = line.includes('"a message was refused"') && /"messageId":"([^"]*)"/.exec(line)?.[1]
    const message = id ? this.messages.get(id) : undefined
    if (message) message.place = undefined
  }

  /** Ids of the last chats of one user that another has got. */
  newest(from: number, to: number): readonly string[] {
    return this.#newest.get(`${from} ${to}`) ?? []
  }

  delivered(user: number, stream: Stream, id: string, body: string): void {
    const message = this.messages.get(id)
    if (!message) {
      if (!this.#isNotice(body)) this.strange.push(`${stream.device} got a message nobody sent: ${id} ${body}`)
      return
    }
    if (message.body !== body) this.strange.push(`${stream.device} got ${id} altered: ${body}`)
    if (!message.room && message.to !== user)
      this.strange.push(`${stream.device} got ${id}, which is for ${message.to}`)
    this.lastDeliveryAt = performance.now()
    message.deliveries.push({ device: stream.device, stream: stream.number, at: this.lastDeliveryAt })
    if (message.kind !== 'chat' || message.room) return
    const pair = `${message.from} ${message.to}`
    this.#newest.set(pair, [...(this.#newest.get(pair) ?? []).slice(-4), id])
  }
}
