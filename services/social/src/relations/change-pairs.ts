import type { EventType, Payload } from '@im/contracts'
import { blacklistChanged, friendChanged, friendRowChanged, pairOf } from '@im/contracts/social'
import { type Change, isDuplicateKey } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { type ErasingDeps, eraseThoseGone } from '../people/erase-user.ts'
import { type Pair, type Relation, settled } from './pair.ts'

/** How a relation changed, as `friend.changed` tells it. */
export type How = 'followed' | 'befriended' | 'unfollowed' | 'deleted'

/** What is to become of a pair. */
export interface Ruling {
  pair: Pair
  /** Where a status may change. */
  how?: How
}

export interface PairChange {
  toUserId: number
  before: Pair
  after: Pair
}

type ChangeDeps = ErasingDeps & TellingDeps

type TellingDeps = Pick<Deps, 'bus' | 'log' | 'keptRows'>

/** Pairs of one change: a transaction that holds more may meet others too often. */
const pairsAtOnce = 50

/**
 * Changes what a user and another are to each other: both rows and their events in one transaction, so that rows are symmetric
 * whoever acts at the same moment. `rule` sees the pair as it is in that transaction and may run again. It throws where the
 * change is refused. `alongside` writes what belongs to the same change.
 *
 * Every change announces an event about the pair. The number of that event makes two changes of one pair conflict, so that
 * none is decided by rows that another has just changed.
 */
export async function changePair(
  deps: ChangeDeps,
  userId: number,
  toUserId: number,
  rule: (pair: Pair) => Ruling,
  alongside?: (changed: PairChange, change: Change) => Promise<unknown>,
): Promise<PairChange> {
  const [changed] = await changePairs(
    deps,
    userId,
    [toUserId],
    (pair) => rule(pair),
    async ([one], change) => one && (await alongside?.(one, change)),
  )
  return changed as PairChange
}

/** The same for a user and many others. Where the rule gives nothing, the pair stays as it is. */
export async function changePairs(
  deps: ChangeDeps,
  userId: number,
  toUserIds: readonly number[],
  rule: (pair: Pair, toUserId: number) => Ruling | undefined,
  alongside?: (changed: readonly PairChange[], change: Change) => Promise<unknown>,
): Promise<PairChange[]> {
  const all: PairChange[] = []
  for (let at = 0; at < toUserIds.length; at += pairsAtOnce) {
    const some = toUserIds.slice(at, at + pairsAtOnce)
    const commit = () =>
      deps.outbox.commit(async (change) => {
        const result = await changePairsWithin(deps, userId, some, rule, change)
        await alongside?.(result.changed, change)
        return result
      })
    // Both sides may make the same rows at the same moment: whoever is later changes them instead.
    const { changed, told } = await commit().catch((error) => {
      if (isDuplicateKey(error)) return commit()
      throw error
    })
    await tellAtOnce(deps, told)
    const made = changed.filter(isNew)
    if (made.length) await eraseThoseGone(deps, [userId, ...made.map(({ toUserId }) => toUserId)])
    all.push(...changed)
  }
  return all
}

/** Whether a row was made. */
const isNew = ({ before, after }: PairChange): boolean =>
  (after.own !== undefined && before.own === undefined) || (after.other !== undefined && before.other === undefined)

/** The same within a change that writes more. */
export async function changePairsWithin(
  { relations, labels, now }: Pick<Deps, 'relations' | 'labels' | 'now'>,
  userId: number,
  toUserIds: readonly number[],
  rule: (pair: Pair, toUserId: number) => Ruling | undefined,
  change: Change,
): Promise<{ changed: PairChange[]; told: Told[] }> {
  const pairs = await relations.pairs(userId, toUserIds, change.session)
  const seconds = Math.floor(now() / 1000)
  const changed: PairChange[] = []
  const told: Told[] = []
  for (const [toUserId, before] of pairs) {
    const ruling = rule(before, toUserId)
    if (!ruling) continue
    const after = settled(before, ruling.pair, seconds)
    changed.push({ toUserId, before, after })
    told.push(...eventsOf({ toUserId, before, after }, { userId, how: ruling.how, at: now() }))
  }
  relations.write(changed, change)
  await labels.drop(
    changed.flatMap(({ toUserId, before, after }) => [
      ...(hasEnded(before.own, after.own) ? [{ owner: userId, friend: toUserId }] : []),
      ...(hasEnded(before.other, after.other) ? [{ owner: toUserId, friend: userId }] : []),
    ]),
    change,
  )
  for (const { event, pair, data } of told) change.announce(event, pair, data as never)
  return { changed, told }
}

const hasEnded = (before: Relation | undefined, after: Relation | undefined): boolean =>
  before?.status === 2 && after?.status !== 2

export interface Told {
  event: EventType
  pair: string
  data: Payload<typeof friendChanged> | Payload<typeof blacklistChanged> | Payload<typeof friendRowChanged>
}

function eventsOf(
  { toUserId, before, after }: PairChange,
  { userId, how = 'followed', at }: { userId: number; how: How | undefined; at: number },
): Told[] {
  const pair = pairOf(userId, toUserId)
  const [status, toStatus] = [after.own?.status ?? 0, after.other?.status ?? 0]
  const told: Told[] = []
  const hasOtherStatus = status !== (before.own?.status ?? 0) || toStatus !== (before.other?.status ?? 0)
  if (hasOtherStatus) told.push({ event: friendChanged, pair, data: { userId, toUserId, status, toStatus, how, at } })
  const blocked = after.own?.blacklist === 1
  if (blocked !== (before.own?.blacklist === 1))
    told.push({ event: blacklistChanged, pair, data: { userId, toUserId, blocked, at } })
  // Who keeps what rows say of notifications takes an end of the relation for the end of both rows, and of one with `unfollowed`.
  const ends = hasOtherStatus && (how === 'deleted' || how === 'unfollowed')
  const own = after.own ?? (before.own && { ...before.own, remarkName: '', offlineNoPushMsg: 0 as const })
  const isForgotten = !after.own && saysHowToNotify(before.own) && !ends
  if (own && after.own !== before.own && (!told.length || isForgotten))
    told.push({ event: friendRowChanged, pair, data: rowFacts(own, at) })
  if (ends && how === 'deleted' && after.other && saysHowToNotify(after.other))
    told.push({ event: friendRowChanged, pair, data: rowFacts(after.other, at) })
  return told
}

const saysHowToNotify = (row: Relation | undefined): boolean => row?.offlineNoPushMsg === 1 || !!row?.remarkName

const rowFacts = (row: Relation, at: number): Payload<typeof friendRowChanged> => ({
  userId: row.userId,
  toUserId: row.toUserId,
  remarkName: row.remarkName,
  offlineNoPushMsg: row.offlineNoPushMsg,
  isOpenSnapchat: row.isOpenSnapchat,
  isOpenTopChat: row.isOpenTopChat,
  chatRecordTimeOut: row.chatRecordTimeOut,
  at,
})

/**
 * Tells whoever decides by relations before the change is answered, so that it is in force by then. The event tells them again,
 * should nobody hear it now.
 */
export async function tellAtOnce({ bus, log, keptRows }: TellingDeps, told: readonly Told[]): Promise<void> {
  for (const { data } of told) keptRows.changed(data)
  const results = await Promise.allSettled(told.map(({ event, data }) => bus.broadcast(event, data as never)))
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) log.warn({ err: failed.reason }, 'a change of a relation was not broadcast yet')
}
