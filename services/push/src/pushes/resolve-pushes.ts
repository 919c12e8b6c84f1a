import { pushedMessages } from '@im/contracts/message'
import { firstUserId } from '@im/contracts/user'
import { inTransaction } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { friendRowId } from '../friends/friend-rows-repository.ts'
import { findPeople } from '../people/find-people.ts'
import type { Notification } from '../providers/provider.ts'
import type { UsableToken } from '../tokens/tokens-repository.ts'
import { type Audience, findAudiences } from './audience.ts'
import { findPresent } from './find-present.ts'
import { notificationBody, textOfType } from './notification-text.ts'
import { deviceKey, expiryOf, type PushDocument, shownId, userOfDevice } from './push-document.ts'
import type { Progress } from './pushes-repository.ts'

/** A notification for a device of a push. */
export interface Telling {
  device: string
  token: UsableToken
  notification: Notification
}

/** A push with the devices that are to be told. */
export interface ResolvedPush {
  push: PushDocument
  devices: readonly string[]
  /** Made when they are sent, because a large room has thousands. */
  tellings: () => Telling[]
}

export interface Resolution {
  resolved: ResolvedPush[]
  /** Ids of those that nobody is to be told of (any more). */
  finished: string[]
  /** Of those whose room is not known yet. */
  unknown: string[]
  /** Of those for which there was no place in this round. */
  left: string[]
}

type ResolveDeps = Pick<
  Deps,
  'config' | 'db' | 'rooms' | 'pushes' | 'tokens' | 'people' | 'friendRows' | 'badges' | 'user' | 'message' | 'now'
>

const [audioCall, videoCall, recall] = [100, 110, 202]
const textsAtOnce = 500

interface Text {
  text: string
  isThere: boolean
  mentioned: ReadonlySet<number>
  mentionsAll: boolean
  recalled: readonly string[]
}

/**
 * Decides by spec xmpp.md §9 which devices are told what, as everything is at this moment. The number of questions does not
 * depend on how many pushes and receivers there are, but for parts of thousands.
 */
export async function resolvePushes(deps: ResolveDeps, all: readonly PushDocument[]): Promise<Resolution> {
  const { tokens, now } = deps
  const resolution: Resolution = { resolved: [], finished: [], unknown: [], left: [] }
  const live = all.filter((push) => {
    const isLive = expiryOf(push) > now() && !push.isRecalled
    if (!isLive) resolution.finished.push(push._id)
    return isLive
  })
  const [audiences, texts] = await Promise.all([findAudiences(deps, live), findTexts(deps, live)])
  const users = new Set([...audiences.values()].flatMap((one) => (one === 'unknown' ? [] : one.userIds)))
  const usable = Map.groupBy(
    await tokens.of([...users].filter((userId) => userId >= firstUserId)),
    ({ userId }) => userId,
  )
  const owners = [...usable.keys()]
  const senders = [...new Set(live.map(({ from }) => from))]
  const [present, people, rows, replaced, told] = await Promise.all([
    findPresent(deps, owners),
    findPeople(deps, [...new Set([...owners, ...senders])]),
    deps.friendRows.find([...friendRowIds(live, audiences, usable)]),
    findReplaced(deps, live, texts),
    findTold(deps, live),
  ])

  const chosen: { push: PushDocument; audience: Audience; text: Text; tokens: UsableToken[] }[] = []
  for (const push of live) {
    const audience = audiences.get(push._id)
    const text = texts.get(push._id)
    const already = told.get(push._id)
    if (audience === 'unknown' || already === 'unknown') resolution.unknown.push(push._id)
    else if (!audience) resolution.left.push(push._id)
    else if (!text?.isThere) resolution.finished.push(push._id)
    else {
      const isLeft = leftOf(push)
      const devices = audience.userIds.flatMap((userId) =>
        usable.has(userId) && isWanted(push, audience, text, userId)
          ? choose(usable.get(userId) ?? [], push, audience).filter(
              (token) => isLeft(token) && !already?.has(deviceKey(token)),
            )
          : [],
      )
      if (devices.length) chosen.push({ push, audience, text, tokens: devices })
      else resolution.finished.push(push._id)
    }
  }
  const numbers = await numberBadges(deps, chosen)
  for (const { push, audience, text, tokens } of chosen) {
    const badge = numbers.get(push._id)!
    resolution.resolved.push({
      push,
      devices: tokens.map(deviceKey),
      tellings: () => tokens.flatMap((token) => tell(push, audience, text, token, badge.get(token.userId) ?? 0)),
    })
  }
  return resolution

  function isWanted(push: PushDocument, audience: Audience, text: Text, userId: number): boolean {
    if (present.has(userId)) return false
    // What is shown goes, also from those who want to hear of nothing more: it makes no sound.
    if (audience.shown) return true
    if (people.get(userId)?.isMuted) return false
    if (replaced.get(push._id)?.has(userId)) return false
    if (!audience.room) return !rows.get(friendRowId(userId, push.from))?.isMuted
    return !audience.members?.get(userId)?.isMuted || breaksMute(text, userId)
  }

  function breaksMute({ mentioned, mentionsAll }: Text, userId: number): boolean {
    const { pushMentions } = deps.config
    return pushMentions !== 'none' && (mentioned.has(userId) || (pushMentions === 'all' && mentionsAll))
  }

  function tell(push: PushDocument, audience: Audience, text: Text, token: UsableToken, badge: number): Telling[] {
    const { contentType, isEncrypt, isReadDel = false, from, named } = push
    const { room, members, shown } = audience
    const device = deviceKey(token)
    const name =
      rows.get(friendRowId(token.userId, from))?.remark ||
      members?.get(from)?.name ||
      named?.from ||
      people.get(from)?.nickname ||
      String(from)
    const mention = text.mentioned.has(token.userId) ? 'own' : text.mentionsAll ? 'all' : undefined
    const body = { contentType, name, room: room?.name, text: text.text, isEncrypt, isReadDel, mention } as const
    const notification = {
      title: room?.name ?? name,
      body: notificationBody(body),
      badge,
      threadId: room?.jid ?? String(from),
      data: dataOf(push, { name, room, userId: token.userId }),
      expiresAt: expiryOf(push),
    }
    if (!shown)
      return [{ device, token, notification: { id: shownId(push), kind: kindOf(contentType), ...notification } }]
    return (shown.get(device) ?? []).map((id) => ({
      device,
      token,
      notification: { id, kind: 'withdrawn' as const, isSilent: true, ...notification },
    }))
  }
}

const isCall = (contentType: number) => contentType === audioCall || contentType === videoCall
const kindOf = (contentType: number) => (isCall(contentType) ? 'call' : 'message')

/** What an app gets beside the text (spec xmpp.md §9). */
function dataOf(
  { from, messageId, contentType, timeSend }: PushDocument,
  { name, room, userId }: { name: string; room: Audience['room']; userId: number },
): Record<string, string> {
  return {
    from: String(from),
    fromUserName: name,
    to: room?.jid ?? String(userId),
    messageType: String(contentType),
    messageId,
    isGroup: room ? '1' : '0',
    ...(room ? { roomJid: room.jid, roomId: room.roomId } : {}),
    timeSend: String(timeSend),
  }
}

/** The devices of a user that are told: an iPhone is woken for calls by its own token, in the place of the other one. */
function choose(tokens: readonly UsableToken[], push: PushDocument, { shown }: Audience): UsableToken[] {
  const { contentType, only } = push
  const wakes = isCall(contentType) && tokens.some(({ isForCalls }) => isForCalls)
  return tokens.filter((token) => {
    if (only && token.provider !== only) return false
    if (shown && !shown.has(deviceKey(token))) return false
    return token.isForCalls ? wakes : !(wakes && token.device === 'ios')
  })
}

/** Whether a device still has to be told, where the push was begun before. */
function leftOf({ waiting, done }: PushDocument): (token: UsableToken) => boolean {
  const wanted = waiting && new Set(waiting)
  const settled = new Set(done)
  return (token) => !settled.has(deviceKey(token)) && (!wanted || wanted.has(deviceKey(token)))
}

/** Each message raises the number on the icon once, whoever dies; a device that is tried again keeps it. */
async function numberBadges(
  { badges, pushes, db }: Pick<Deps, 'badges' | 'pushes' | 'db'>,
  chosen: readonly { push: PushDocument; tokens: readonly UsableToken[] }[],
): Promise<Map<string, Map<number, number>>> {
  const users = new Map(chosen.map(({ push, tokens }) => [push._id, new Set(tokens.map(({ userId }) => userId))]))
  const raising = chosen.map(({ push }) => push).filter(({ isCounted, withdraws }) => !isCounted && !withdraws)
  const raised = new Map<number, number>()
  for (const { _id } of raising) for (const userId of users.get(_id)!) raised.set(userId, (raised.get(userId) ?? 0) + 1)
  if (raising.length)
    await inTransaction(db.client, async (session) => {
      const ids = raising.map(({ _id }) => _id)
      await pushes.count(ids, session)
      await badges.raise(raised, session)
    })
  const after = await badges.of([...new Set([...users.values()].flatMap((some) => [...some]))])
  const current = new Map([...after].map(([userId, count]) => [userId, count - (raised.get(userId) ?? 0)]))
  const isRaising = new Set(raising)
  for (const push of raising) push.isCounted = true
  return new Map(
    chosen.map(({ push }) => {
      const numbers = new Map<number, number>()
      for (const userId of users.get(push._id)!) {
        const number = (current.get(userId) ?? 0) + (isRaising.has(push) ? 1 : 0)
        current.set(userId, number)
        numbers.set(userId, number)
      }
      return [push._id, numbers]
    }),
  )
}

function* friendRowIds(
  pushes: readonly PushDocument[],
  audiences: ReadonlyMap<string, Audience | 'unknown'>,
  usable: ReadonlyMap<number, unknown>,
): Generator<string> {
  const told = new Set<string>()
  for (const { _id, from } of pushes) {
    const audience = audiences.get(_id)
    for (const userId of audience && audience !== 'unknown' ? audience.userIds : []) {
      const id = friendRowId(userId, from)
      if (!usable.has(userId) || told.has(id)) continue
      told.add(id)
      yield id
    }
  }
}

/** What pushes say. Of archived messages only the message service knows, and whether they are still there. */
async function findTexts(
  { message }: Pick<Deps, 'message'>,
  pushes: readonly PushDocument[],
): Promise<Map<string, Text>> {
  const found = new Map<string, Text>()
  const asked: PushDocument[] = []
  for (const push of pushes) {
    const { _id, text, mentioned, mentionsAll = false } = push
    if (text === undefined) asked.push(push)
    else found.set(_id, { text, isThere: true, mentioned: new Set(mentioned), mentionsAll, recalled: [] })
  }
  for (let at = 0; at < asked.length; at += textsAtOnce) {
    const some = asked.slice(at, at + textsAtOnce)
    const messages = some.map(({ messageId, conversation, from }) => ({ messageId, conversation, from }))
    const { texts } = await message.call(pushedMessages.getPushTexts, { messages })
    for (const [n, { _id, contentType }] of some.entries()) {
      const { text, isThere, mentioned, mentionsAll, recalled } = texts[n]!
      const shown = textOfType(contentType) ?? text
      found.set(_id, { text: shown, isThere, mentioned: new Set(mentioned), mentionsAll, recalled })
    }
  }
  return found
}

/**
 * On which devices what is told again was told before, or will be when their provider takes it; `unknown` while that is decided or
 * under way. Of two that tell the same again the later one waits.
 */
async function findTold(
  { pushes }: Pick<Deps, 'pushes'>,
  all: readonly PushDocument[],
): Promise<Map<string, ReadonlySet<string> | 'unknown'>> {
  const again = all.filter(({ shownAs }) => shownAs)
  const progress = Map.groupBy(await pushes.progressOf([...new Set(again.map(({ messageId }) => messageId))]), shownId)
  const told = new Map<string, ReadonlySet<string> | 'unknown'>()
  for (const push of again) {
    const before = (progress.get(shownId(push)) ?? []).filter((other) => isEarlier(other, push))
    const isUnderWay = before.some(({ dueAt, claim, waiting }) => dueAt && (claim || !waiting))
    const devices = before.flatMap(({ sent = [], waiting = [] }) => [...sent, ...waiting])
    told.set(push._id, isUnderWay ? 'unknown' : new Set(devices))
  }
  return told
}

const isEarlier = (a: Progress, b: PushDocument): boolean => {
  const [at, other] = [a.missedAt ?? 0, b.missedAt ?? 0]
  return at < other || (at === other && a._id < b._id)
}

/** Who sees a notification of a recalled message replaced: they need no other one that says so. */
async function findReplaced(
  { pushes }: Pick<Deps, 'pushes'>,
  all: readonly PushDocument[],
  texts: ReadonlyMap<string, Text>,
): Promise<Map<string, Set<number>>> {
  const replaced = new Map<string, Set<number>>()
  for (const { _id, contentType, conversation } of all) {
    const recalled = texts.get(_id)?.recalled ?? []
    if (contentType !== recall || !recalled.length) continue
    const originals = await pushes.ofMessages(conversation, recalled)
    replaced.set(_id, new Set(originals.flatMap(({ sent = [] }) => sent.map(userOfDevice))))
  }
  return replaced
}
