import type { StandingMember } from '@im/contracts/room'
import { roomsDomain } from '../config.ts'
import type { Deps } from '../deps.ts'
import type { MessageDocument } from '../messages/message-document.ts'
import { stanzaId } from '../messages/message-row.ts'
import type { Refusal } from '../stanzas/refusal.ts'
import type { StanzaName, StanzaText } from '../stanzas/stanza-text.ts'
import type { OwnStream } from '../streams/own-stream.ts'
import type { Joining } from './occupants.ts'
import { historyFor, type Wish } from './room-history.ts'
import { joinErrorText, occupantText, roomAddress, type Status, saidBeforeText, subjectText } from './room-stanzas.ts'

/** A stream that joins a room; what is said meanwhile waits in `joining`. */
export interface Join {
  stream: OwnStream
  jid: string
  joining: Joining
  member: StandingMember
  /** Of its own presence. */
  codes: readonly Status[]
  /** The full address of the stream, the nick it asked for, and the id of its presence. */
  address: string
  nick: string
  id: string | undefined
  wish: Wish
  /** Nothing of the join can get lost any more. */
  settled: () => void
}

export const notMember: Refusal = { condition: 'registration-required', text: 'only members may join' }
export const noRoom: Refusal = { condition: 'item-not-found', text: 'no such room' }

type AnswerDeps = Pick<Deps, 'occupants' | 'config' | 'now'>

/** A stream that may not join after all. */
export function refuseJoin(
  { occupants, config }: AnswerDeps,
  { stream, jid, nick, id, settled }: Join,
  refusal: Refusal,
): void {
  occupants.leave(stream, jid)
  stream.write(joinErrorText(roomAddress(roomsDomain(config), jid, nick || undefined), id, refusal), 'presence')
  settled()
}

/** The own presence of somebody in a room. */
export const ownPresence = (
  rooms: string,
  { jid, member, address, codes }: Pick<Join, 'jid' | 'member' | 'address' | 'codes'>,
): StanzaText =>
  occupantText(roomAddress(rooms, jid, member.userId), {
    ...{ role: member.role, user: address, codes: [100, 110, ...codes] },
  })

/**
 * Writes what streams of one server get that join a room: who is there, their own presence, what was said, the subject, then
 * what was said meanwhile (XEP-0045 §7.1). A text that many of them get goes once, with the list of them. `others`, who were there
 * before, are shown, undefined when they are too many; `rows` are the newest messages, the newest first.
 */
export function answerJoins(
  { occupants, config, now }: AnswerDeps,
  joins: readonly Join[],
  {
    others,
    rows,
  }: { others: readonly { userId: number; role: number }[] | undefined; rows: readonly MessageDocument[] },
): void {
  const [first] = joins
  if (!first) return
  const { jid } = first
  const rooms = roomsDomain(config)
  const room = roomAddress(rooms, jid)
  const writeTo = (to: readonly Join[], name: StanzaName, text: StanzaText) => {
    if (to.length) first.stream.writer.deliverTo(to.map(({ stream }) => stream.id).join(' '), name, text)
  }
  for (const { userId, role } of others ?? [])
    writeTo(
      joins.filter(({ member }) => member.userId !== userId),
      'presence',
      occupantText(roomAddress(rooms, jid, userId), { role, user: `${userId}@${config.xmppDomain}` }),
    )
  for (const join of joins) join.stream.write(ownPresence(rooms, join), 'presence')

  const said = rows.toReversed().map((message) => {
    const { from, body, ts } = message
    const id = stanzaId(message)
    return { message, id, text: saidBeforeText(roomAddress(rooms, jid, from), { id, body, ts }) }
  })
  const heard = joins.map(({ member, wish }) => historyFor(said, member, wish, now()))
  for (const one of said)
    writeTo(
      joins.filter((_, index) => heard[index]!.has(one)),
      'message',
      one.text,
    )
  writeTo(joins, 'message', subjectText(room))

  for (const [index, { stream, joining }] of joins.entries()) {
    const known = new Set([...heard[index]!].map(({ id }) => id))
    for (const text of joining.end((id) => known.has(id))) stream.write(text)
  }
  occupants.complete(
    joins.map(({ stream }) => stream),
    jid,
  )
  for (const { settled } of joins) settled()
}
