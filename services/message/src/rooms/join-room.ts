import type { StandingMember } from '@im/contracts/room'
import { roomsDomain } from '../config.ts'
import type { Answer, MessageWrite } from '../deliver/message-step.ts'
import { nothing, type Step } from '../deliver/step.ts'
import type { Deps } from '../deps.ts'
import type { Entry, Sender } from '../read/read-message.ts'
import type { Standing } from '../room-facts/room-facts.ts'
import type { Refusal } from '../stanzas/refusal.ts'
import { noRoom, notMember, ownPresence } from './answer-joins.ts'
import { readWish } from './room-history.ts'
import { joinErrorText, outText, roomAddress, type Status } from './room-stanzas.ts'

/** Presence that a client sent to a room. */
export interface RoomPresence {
  entry: Entry
  sender: Sender
  jid: string
  /** As the client named itself. */
  nick: string
}

const tooMany: Refusal = { condition: 'resource-constraint', text: 'too many rooms wait to be registered' }
const tryLater: Refusal = { condition: 'resource-constraint', text: 'it cannot be found out now whether you may join' }

/** How often the room service is asked: when many join at once, it may answer late. */
const mostTries = 2

/** A client joins a room, or makes one (spec xmpp.md §7). Nobody is refused by what may be old. */
export function joinStep(
  deps: Deps,
  presence: RoomPresence,
  answer: Answer,
): Step<MessageWrite> | Promise<Step<MessageWrite>> {
  const known = deps.roomFacts.peek(presence.jid, presence.sender.user)
  return known?.member ? joined(deps, presence, known.member, []) : joinAfterAsking(deps, presence, answer)
}

async function joinAfterAsking(deps: Deps, presence: RoomPresence, answer: Answer): Promise<Step<MessageWrite>> {
  const { entry, sender, jid } = presence
  const refused = (refusal: Refusal) => refusedJoin(deps, presence, refusal, answer)
  const standing = await standingOf(deps, jid, sender.user)
  if (!standing) return refused(tryLater)
  if (standing.state === 'dissolved') return refused(noRoom)
  if (standing.state === 'live') {
    if (!standing.member) return refused(notMember)
    return joined(deps, presence, standing.member, [])
  }
  const outcome = await deps.reservedRooms.reserve(jid, sender.user)
  if (outcome === 'taken') return refused(noRoom)
  if (outcome === 'too many') return refused(tooMany)
  const owner = { userId: sender.user, name: '', role: 1, talkTime: 0, joinedAt: 0, since: entry.stamp }
  return joined(deps, presence, owner, outcome === 'made' ? [201] : [])
}

/** Undefined when the room service does not answer. */
async function standingOf({ roomFacts, log }: Deps, jid: string, user: number): Promise<Standing | undefined> {
  for (let tries = 1; ; tries++)
    try {
      return await roomFacts.ask(jid, user, { forJoin: true })
    } catch (error) {
      if (tries < mostTries) continue
      log.debug({ err: error, jid }, 'a join was put off: the room service does not answer')
      return undefined
    }
}

function refusedJoin(
  deps: Deps,
  { entry, jid, nick }: RoomPresence,
  refusal: Refusal,
  answer: Answer,
): Step<MessageWrite> {
  const from = roomAddress(roomsDomain(deps.config), jid, nick || undefined)
  return {
    ...nothing,
    run(settled) {
      answer(joinErrorText(from, entry.stanza.attrs['id'], refusal), 'presence')
      settled()
    },
  }
}

function joined(deps: Deps, presence: RoomPresence, member: StandingMember, made: Status[]): Step<MessageWrite> {
  const { streams, occupants, roomJoins, config, now } = deps
  const { entry, sender, jid, nick } = presence
  return {
    ...nothing,
    run(settled) {
      const stream = streams.find(entry.server, entry.stream)
      if (!stream) return settled()
      const codes: Status[] = [...made, ...(nick === String(sender.user) ? [] : ([210] as const))]
      const own = { jid, member, address: sender.jid, codes }
      // Apps tell rooms of their presence now and then; only a join begins again. One that came before is through when the server knows of it.
      const isJoin = !entry.runBefore && entry.stanza.getChildElements().some(({ name }) => name === 'x')
      const isUpdate = occupants.has(stream, jid) && !isJoin
      if (isUpdate) {
        stream.write(ownPresence(roomsDomain(config), own), 'presence')
        return settled()
      }
      const wish = readWish(entry.stanza, now())
      const joining = occupants.begin(stream, jid)
      roomJoins.add({ ...own, stream, joining, nick, id: entry.stanza.attrs['id'], wish, settled })
    },
  }
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
