import type { Ledger, Message, Stream } from './ledger.ts'

export interface RoomFaults {
  'taken in a room of somebody who was out of it or muted': string[]
  'refused in a room to somebody who might speak': string[]
  'delivered to somebody who was not in the room': string[]
  'said in a room and not delivered to a device that had joined': string[]
}

/** How long (ms) a join and the whole stack may take to know of each other. */
const knownAfter = 1000
/** A join brings a hundred messages of before at most; messages of events count, too. */
const mostFromHistory = 80

/** What members saw and were told in rooms. What was being changed meanwhile is judged by nobody. */
export function judgeRooms(
  ledger: Ledger,
  streams: ReadonlyMap<string, readonly Stream[]>,
  isRecalled: (id: string) => boolean,
): RoomFaults {
  const messages = [...ledger.messages.values()].filter(({ room }) => room)
  const said = messages.filter(({ kind, receiptAt }) => kind === 'chat' && receiptAt !== undefined)
  return {
    'taken in a room of somebody who was out of it or muted': messages.flatMap((message) => {
      const { id, kind, from, room, sentAt, receiptAt } = message
      // What its author has taken back is confirmed, whatever would have been decided, and stored nowhere.
      if (receiptAt === undefined || !sentAt.length || isRecalled(id)) return []
      const wasOut = room!.wasMember(from, sentAt[0]!, receiptAt) === false
      // Who is muted may take back what they said.
      const wasMuted = kind === 'chat' && room!.wasMuted(from, sentAt[0]!, receiptAt)
      return wasOut || wasMuted ? [`${id} of ${from}`] : []
    }),
    'refused in a room to somebody who might speak': messages.flatMap(({ id, from, room, sentAt, refusals }) => {
      const wrong = refusals.find(
        ({ condition, at }) =>
          condition === 'forbidden' &&
          room!.wasMember(from, sentAt[0]!, at) === true &&
          room!.wasMuted(from, sentAt[0]!, at) === false,
      )
      return wrong ? [`${id} of ${from}`] : []
    }),
    'delivered to somebody who was not in the room': messages.flatMap(({ id, room, sentAt, receiptAt, deliveries }) =>
      deliveries.flatMap(({ device, at }) => {
        const wasIn = room!.wasMember(userOf(device), sentAt[0]!, Math.min(receiptAt ?? at, at))
        return wasIn === false ? [`${id} to ${device}`] : []
      }),
    ),
    'said in a room and not delivered to a device that had joined': said.flatMap((message) =>
      isRecalled(message.id)
        ? []
        : message.room!.members.flatMap((user) =>
            [...streams]
              .filter(([device]) => userOf(device) === user && isMissed(message, device, streams.get(device)!, said))
              .map(([device]) => `${message.id} to ${device}, which had joined`),
          ),
    ),
  }
}

const userOf = (device: string) => Number(device.slice(0, device.indexOf('/')))

function isMissed(
  { room, sentAt, receiptAt, deliveries }: Message,
  device: string,
  streams: readonly Stream[],
  said: readonly Message[],
): boolean {
  if (deliveries.some((delivery) => delivery.device === device)) return false
  if (!room!.wasMember(userOf(device), sentAt[0]!, performance.now())) return false
  const joinOf = ({ joins }: Stream) => joins.get(room!.jid)
  const on = streams.find((stream) => {
    const { from, to } = joinOf(stream) ?? { from: Number.POSITIVE_INFINITY, to: 0 }
    return from + knownAfter < sentAt[0]! && to > receiptAt! && stream.endedAt > receiptAt!
  })
  if (!on) return false
  // Its own, or a join after it, brings what was on its way to it.
  const next = streams.find(({ number }) => number > on.number)
  if (!Number.isFinite(on.endedAt) || !next) return true
  const joinedAt = joinOf(next)?.from ?? Number.POSITIVE_INFINITY
  const later = said.filter(
    (other) => other.room === room && other.receiptAt! > receiptAt! && other.sentAt[0]! < joinedAt,
  )
  return later.length < mostFromHistory
}
