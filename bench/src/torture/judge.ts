import { judgeRooms, type RoomFaults } from './judge-rooms.ts'
import type { Ledger, Message, Stream } from './ledger.ts'

/** A row of a history as the API answers it. */
export interface Row {
  messageId: string
  body: string
  isRead: boolean
}

/** What the API shows at the end: each user's chat with each peer and what was said in each room, oldest first. */
export type Histories = ReadonlyMap<string, readonly Row[]>

export const historyKey = (owner: number, peer: number) => `${owner} with ${peer}`
export const roomKey = (jid: string) => `room ${jid}`

/** Each must be none. */
export interface Faults extends RoomFaults {
  /** Chats that the API could not show: nothing else is judged by them. */
  'history out of reach': string[]
  'receipted and not in the archive': string[]
  'archived twice': string[]
  'archived in another order': string[]
  'archived otherwise than sent': string[]
  'receipted and not delivered': string[]
  'delivered though refused': string[]
  'archived though refused': string[]
  'delivered to somebody else, altered or unknown': string[]
  'recalled and still readable': string[]
  'recalled and handed out at a later login': string[]
  'cleared and still readable': string[]
  'told to be read and not marked': string[]
  'neither receipted nor refused': string[]
}

export type FaultName = keyof Faults

/** What may happen when ways break, and is told only. */
export interface Remarks {
  /** It had to take the way through the mailbox; apps order by time. */
  'delivered behind a later one': string[]
  /** At least once: apps know doubles by their ids. */
  'delivered twice on one stream': string[]
}

/** Compares what clients saw with what the API answers. `killed`: when XMPP servers were killed; clients may notice it late. */
export function judge(ledger: Ledger, histories: Histories, killed: readonly ServerKill[]): Faults {
  const messages = [...ledger.messages.values()]
  const streams = Map.groupBy(
    ledger.streams.map((stream) => cutShort(stream, killed)),
    ({ device }) => device,
  )
  const recalls = recallsOf(messages)
  const shown = new Map([...histories].map(([key, rows]) => [key, new Set(rows.map(({ messageId }) => messageId))]))
  const isShown = ({ id, ...message }: Message) => keysOf(message).some((key) => shown.get(key)?.has(id))
  const idsOf = (wrong: readonly Message[]) => wrong.map(({ id }) => id)
  const receipted = messages.filter(({ receiptAt }) => receiptAt !== undefined)
  const archived = receipted.filter(({ kind }) => kind === 'chat' || kind === 'recall')
  const chats = new Set(archived.flatMap(keysOf))

  return {
    'history out of reach': [...chats].filter((key) => !histories.has(key)),
    'receipted and not in the archive': archived.flatMap((message) => {
      if (recalls.attempted.has(message.id)) return []
      return keysOf(message).flatMap((key) =>
        !histories.has(key) || mayBeCleared(ledger, key, message) || shown.get(key)!.has(message.id)
          ? []
          : `${message.id} in ${key}`,
      )
    }),
    'archived twice': [...histories].flatMap(([key, rows]) =>
      rows.length === shown.get(key)!.size ? [] : repeated(rows.map(({ messageId }) => messageId)),
    ),
    'archived in another order': [...histories].flatMap(([key, rows]) => {
      const known = rows.flatMap(({ messageId }) => ledger.messages.get(messageId) ?? [])
      return misplaced(known).map((id) => `${id} in ${key}`)
    }),
    'archived otherwise than sent': [...histories].flatMap(([key, rows]) =>
      rows.flatMap(({ messageId, body }) =>
        ledger.messages.get(messageId)?.body === body ? [] : `${messageId} in ${key}`,
      ),
    ),
    'receipted and not delivered': receipted.flatMap((message) => undelivered(message, streams, recalls)),
    'delivered though refused': idsOf(messages.filter((message) => isRefused(message) && message.deliveries.length)),
    'archived though refused': idsOf(messages.filter((message) => isRefused(message) && isShown(message))),
    'delivered to somebody else, altered or unknown': ledger.strange,
    'recalled and still readable': [...recalls.done.keys()].filter((id) => isShown(ledger.messages.get(id)!)),
    'recalled and handed out at a later login': [...recalls.done].flatMap(([id, doneAt]) => {
      const { deliveries } = ledger.messages.get(id)!
      const late = deliveries.find(({ device, stream }) => {
        const on = streams.get(device)?.find(({ number }) => number === stream)
        return on !== undefined && on.beganAt > doneAt
      })
      return late ? [`${id} on ${late.device}`] : []
    }),
    'cleared and still readable': ledger.clears.flatMap(({ user, peer, from, to }) => {
      if (!Number.isFinite(to)) return []
      const rows = histories.get(historyKey(user, peer)) ?? []
      return rows.flatMap(({ messageId }) => {
        const { receiptAt = Number.POSITIVE_INFINITY } = ledger.messages.get(messageId) ?? {}
        return receiptAt < from ? [`${messageId} of ${user}`] : []
      })
    }),
    'told to be read and not marked': receipted.flatMap((message) => {
      if (message.kind !== 'read') return []
      const rows = histories.get(historyKey(message.to, message.from)) ?? []
      const named = new Set(message.names)
      return rows.flatMap(({ messageId, isRead }) => (named.has(messageId) && !isRead ? [messageId] : []))
    }),
    ...judgeRooms(ledger, streams, (id) => recalls.attempted.has(id)),
    'neither receipted nor refused': idsOf(
      messages.filter(({ receiptAt, isGivenUp, sentAt }) => sentAt.length && receiptAt === undefined && !isGivenUp),
    ),
  }
}

export interface ServerKill {
  /** Index among the XMPP servers. */
  server: number
  at: number
}

/** A stream ends with its server. */
function cutShort(stream: Stream, killed: readonly ServerKill[]): Stream {
  const kills = killed.filter(({ server, at }) => server === stream.server && at > stream.beganAt)
  return { ...stream, endedAt: Math.min(stream.endedAt, ...kills.map(({ at }) => at)) }
}

export function remark(ledger: Ledger): Remarks {
  const messages = [...ledger.messages.values()]
  const streams = Map.groupBy(ledger.streams, ({ device }) => device)
  return {
    'delivered behind a later one': ledger.streams.flatMap((stream) => outOfOrder(stream, messages, streams)),
    'delivered twice on one stream': messages.flatMap(({ id, deliveries }) =>
      repeated(deliveries.map(({ device, stream }) => `${id} on ${device}#${stream}`)),
    ),
  }
}

/** The histories it is in: both sides of its chat, or that of its room. */
const keysOf = ({ from, to, room }: Pick<Message, 'from' | 'to' | 'room'>) =>
  room ? [roomKey(room.jid)] : [historyKey(from, to), historyKey(to, from)]

/** Sent once and refused: nobody may get to see it. What was sent again after that may have been taken at another time. */
const isRefused = ({ refusals, sentAt, receiptAt }: Message) =>
  refusals.length > 0 && receiptAt === undefined && sentAt.length === refusals.length

interface Recalls {
  /** Ids that somebody tried to recall. */
  attempted: ReadonlySet<string>
  /** Ids whose recall is receipted, and since when. */
  done: ReadonlyMap<string, number>
}

function recallsOf(messages: readonly Message[]): Recalls {
  const recalls = messages.filter(({ kind }) => kind === 'recall')
  const done = recalls.flatMap(({ names, receiptAt }) =>
    receiptAt === undefined ? [] : names.map((id) => [id, receiptAt] as const),
  )
  return { attempted: new Set(recalls.flatMap(({ names }) => names)), done: new Map(done) }
}

/** Whether the chat was cleared when the message may have been in it already. */
function mayBeCleared({ clears }: Ledger, key: string, message: Message): boolean {
  return clears.some(({ user, peer, to }) => historyKey(user, peer) === key && to > message.sentAt[0]!)
}

/** How long (ms) it may take until all of the stack knows that a device is there. */
const knownAfter = 1000

/** Devices that have not got the message though they should have. */
function undelivered(message: Message, streams: ReadonlyMap<string, readonly Stream[]>, recalls: Recalls): string[] {
  const { id, kind, to, room, sentAt, receiptAt, deliveries } = message
  if (room || kind === 'typing' || recalls.attempted.has(id)) return []
  const got = new Set(deliveries.map(({ device }) => device))
  const devices = [...streams.keys()].filter((device) => device.startsWith(`${to}/`))
  if (!got.size) {
    const mayBeLost = devices.some((device) => mayHaveLost(streams.get(device)!, message))
    return mayBeLost ? [] : [`${id} to ${to}`]
  }
  return devices.flatMap((device) => {
    if (got.has(device)) return []
    const own = streams.get(device)!
    const wasThere = own.some(
      ({ availableAt, endedAt }) => availableAt + knownAfter < sentAt[0]! && endedAt > receiptAt!,
    )
    return wasThere && !mayHaveLost(own, message) ? [`${id} to ${device}, which was there`] : []
  })
}

/** A client that confirms nothing loses what is on its way when its connection breaks. */
const mayHaveLost = (streams: readonly Stream[], { sentAt }: Message) =>
  streams.some(
    ({ confirms, isClosedCleanly, endedAt }) =>
      !confirms && !isClosedCleanly && endedAt > sentAt[0]! && Number.isFinite(endedAt),
  )

/**
 * Messages that a device got on a stream behind later ones. Where another device of the user is, too, what was sent before this
 * one came may follow when the other has failed to take it.
 */
function outOfOrder(
  { device, number, beganAt }: Stream,
  messages: readonly Message[],
  streams: ReadonlyMap<string, readonly Stream[]>,
): string[] {
  const firstTo = new Map(
    messages.flatMap((message) => {
      const first = message.deliveries.find((delivery) => delivery.device === device)
      return first?.stream === number ? [[message, first.at] as const] : []
    }),
  )
  const got = [...firstTo.keys()].sort((a, b) => firstTo.get(a)! - firstTo.get(b)!)
  const user = device.slice(0, device.indexOf('/') + 1)
  const isAlone = [...streams.keys()].every((other) => other === device || !other.startsWith(user))
  const groups = isAlone ? [got] : [...Map.groupBy(got, ({ sentAt }) => sentAt[0]! > beganAt).values()]
  return groups.flatMap((group) => misplaced(group).map((id) => `${id} on ${device}#${number}`))
}

/** Messages that stand before one that their device has sent earlier. */
function misplaced(messages: readonly Message[]): string[] {
  const highest = new Map<string, number>()
  return messages.flatMap(({ id, device, to, room, place }) => {
    if (place === undefined) return []
    const pair = `${device} ${room?.jid ?? to}`
    const before = highest.get(pair) ?? -1
    if (place < before) return [id]
    highest.set(pair, place)
    return []
  })
}

function repeated(ids: readonly string[]): string[] {
  const seen = new Set<string>()
  return ids.filter((id) => seen.size === seen.add(id).size)
}
