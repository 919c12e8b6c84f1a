import { setTimeout as delay } from 'node:timers/promises'
import type { StandingMember } from '@im/contracts/room'
import { roomsDomain } from '../config.ts'
import type { Answer, MessageWrite } from '../deliver/message-step.ts'
import type { StanzaText } from '../deliver/stanza-text.ts'
import type { Deps } from '../deps.ts'
import { nothing, type Step } from '../feed/pipeline.ts'
import type { Entry, Refusal, Sender } from '../read/read-message.ts'
import type { OwnStream } from '../streams/own-stream.ts'
import { mostShown } from './occupant-rolls.ts'
import type { Standing } from './room-facts.ts'
import { readHistory, readWish, type Wish } from './room-history.ts'
import { joinErrorText, occupantText, outText, roomAddress, type Status, subjectText } from './room-stanzas.ts'

/** Presence that a client sent to a room. */
export interface RoomPresence {
  entry: Entry
  sender: Sender
  jid: string
  /** As the client named itself. */
  nick: string
}

const notMember: Refusal = { condition: 'registration-required', text: 'only members may join' }
const noRoom: Refusal = { condition: 'item-not-found', text: 'no such room' }
const tooMany: Refusal = { condition: 'resource-constraint', text: 'too many rooms wait to be registered' }
const tryLater: Refusal = { condition: 'resource-constraint', text: 'it cannot be found out now whether you may join' }

/** After how long (ms) a history that could not be read is tried again. */
const readAgainAfter = 500

/** Nobody is refused by what may be old. */
async function standingOf(facts: Deps['roomFacts'], jid: string, user: number): Promise<Standing> {
  const known = facts.peek(jid, user)
  return known?.member ? known : await facts.ask(jid, user)
}

/** A client joins a room, or makes one (spec xmpp.md §7). */
export async function joinStep(deps: Deps, presence: RoomPresence, answer: Answer): Promise<Step<MessageWrite>> {
  const { roomFacts, reservedRooms, log } = deps
  const { entry, sender, jid } = presence
  const refused = (refusal: Refusal) => refusedJoin(deps, presence, refusal, answer)
  let standing: Standing
  try {
    standing = await standingOf(roomFacts, jid, sender.user)
  } catch (error) {
    log.debug({ err: error, jid }, 'a join was put off: the room service does not answer')
    return refused(tryLater)
  }
  if (standing.state === 'dissolved') return refused(noRoom)
  if (standing.state === 'live') {
    if (!standing.member) return refused(notMember)
    return joined(deps, presence, standing.member, [])
  }
  const outcome = await reservedRooms.reserve(jid, sender.user)
  if (outcome === 'taken') return refused(noRoom)
  if (outcome === 'too many') return refused(tooMany)
  const owner = { userId: sender.user, name: '', role: 1, talkTime: 0, joinedAt: 0, since: entry.stamp }
  return joined(deps, presence, owner, outcome === 'made' ? [201] : [])
}

function refusedJoin(deps: Deps, { entry, jid, nick }: RoomPresence, refusal: Refusal, answer: Answer) {
  const from = roomAddress(roomsDomain(deps.config), jid, nick || undefined)
  return {
    ...nothing,
    run(settled: () => void) {
      answer(joinErrorText(from, entry.stanza.attrs['id'], refusal), 'presence')
      settled()
    },
  }
}

function joined(deps: Deps, presence: RoomPresence, member: StandingMember, codes: Status[]): Step<MessageWrite> {
  const { streams, occupants, config, now } = deps
  const { entry, sender, jid, nick } = presence
  return {
    ...nothing,
    run(settled) {
      const stream = streams.find(entry.server, entry.stream)
      if (!stream) return settled()
      const ownText = ({ role }: StandingMember) =>
        occupantText(roomAddress(roomsDomain(config), jid, sender.user), {
          role,
          user: sender.jid,
          codes: [100, 110, ...codes, ...(nick === String(sender.user) ? [] : ([210] as const))],
        })
      // Apps tell rooms of their presence now and then; only a join begins again.
      const isUpdate = occupants.has(stream, jid) && !entry.stanza.getChildElements().some(({ name }) => name === 'x')
      if (isUpdate) {
        stream.write(ownText(member), 'presence')
        return settled()
      }
      const refuse = (refusal: Refusal) => {
        const from = roomAddress(roomsDomain(config), jid, nick || undefined)
        stream.write(joinErrorText(from, entry.stanza.attrs['id'], refusal), 'presence')
      }
      void welcome(deps, stream, { jid, member, ownText, refuse, wish: readWish(entry.stanza, now()) }).then(settled)
    },
  }
}

interface Welcome {
  jid: string
  member: StandingMember
  /** The own presence of a member in the room. */
  ownText: (member: StandingMember) => StanzaText
  refuse: (refusal: Refusal) => void
  wish: Wish
}

/** All that a stream gets when it joins, then what was said meanwhile (XEP-0045 §7.1). */
async function welcome(
  deps: Deps,
  stream: OwnStream,
  { jid, member: asked, ownText, refuse, wish }: Welcome,
): Promise<void> {
  const { occupants, roomFacts, config, log } = deps
  const rooms = roomsDomain(config)
  const joining = occupants.begin(stream, jid)
  for (let member = asked; ; ) {
    try {
      const [others, history] = await Promise.all([
        othersIn(deps, jid, member.userId),
        readHistory(deps, jid, member, wish),
      ])
      // What was read may be what somebody may no more see who was removed meanwhile.
      const standing = await standingOf(roomFacts, jid, member.userId)
      if (!occupants.isJoining(stream, jid, joining)) return
      if (standing.state === 'dissolved' || (standing.state === 'live' && !standing.member)) {
        occupants.leave(stream, jid)
        return refuse(standing.state === 'live' ? notMember : noRoom)
      }
      if (standing.member && standing.member.since !== member.since) {
        member = standing.member
        continue
      }
      for (const { userId, role } of others) {
        const user = `${userId}@${config.xmppDomain}`
        stream.write(occupantText(roomAddress(rooms, jid, userId), { role, user }), 'presence')
      }
      stream.write(ownText(standing.member ?? member), 'presence')
      for (const { text } of history) stream.write(text)
      stream.write(subjectText(roomAddress(rooms, jid)))
      const known = new Set(history.map(({ id }) => id))
      for (const text of joining.end((id) => known.has(id))) stream.write(text)
      occupants.complete(stream, jid)
      return
    } catch (error) {
      log.warn({ reason: String(error), jid }, 'a join could not be answered; trying again')
      await delay(readAgainAfter)
      if (stream.ended) return
    }
  }
}

/** Who is shown to somebody who joins: nobody whose role is not announced, and nobody at all in a crowd. */
async function othersIn(
  { occupantRolls, roomFacts }: Pick<Deps, 'occupantRolls' | 'roomFacts'>,
  jid: string,
  user: number,
): Promise<{ userId: number; role: number }[]> {
  const users = await occupantRolls.of(jid)
  if (!users || users.size >= mostShown) return []
  users.delete(user)
  const standings = await Promise.all([...users].map((other) => roomFacts.of(jid, other)))
  return standings.flatMap(({ member }) => (member && member.role <= 3 ? [member] : []))
}

/** A client leaves a room, by any nick or none. */
export function leaveStep(deps: Deps, { entry, sender, jid }: RoomPresence, answer: Answer): Step<MessageWrite> {
  const { streams, occupants, config } = deps
  return {
    ...nothing,
    run(settled) {
      const stream = streams.find(entry.server, entry.stream)
      if (stream) occupants.leave(stream, jid)
      answer(outText(roomAddress(roomsDomain(config), jid, sender.user), [110]), 'presence')
      settled()
    },
  }
}
