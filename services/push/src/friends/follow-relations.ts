import { type Payload, streams } from '@im/contracts'
import { friendChanged, friendRowChanged, replayedRelations } from '@im/contracts/social'
import { type Change, catchUp, type EventHandler, exactlyOnce } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { goneAmong } from '../people/follow-users.ts'
import type { FriendRow } from './friend-rows-repository.ts'

type RowsDeps = Pick<Deps, 'friendRows' | 'people'>

const projection = { name: 'friend-rows', stream: streams.social }

/** Reads the relations there were before this service followed their events. */
export const followRelations = (deps: Pick<Deps, 'friendRows' | 'people' | 'social'> & Parameters<typeof catchUp>[0]) =>
  catchUp(deps, {
    projection,
    page: (after) => deps.social.call(replayedRelations.pageRelations, { after, pageSize: 500 }),
    apply: (rows, change) =>
      putRows(
        deps,
        rows.flatMap(({ low, high, ofLow, ofHigh }) => [
          { owner: low, peer: high, ...said(ofLow) },
          { owner: high, peer: low, ...said(ofHigh) },
        ]),
        change,
      ),
  })

const said = (row: { remarkName: string; offlineNoPushMsg: number } | undefined) => ({
  remark: row?.remarkName ?? '',
  isMuted: row?.offlineNoPushMsg === 1,
})

export const relationHandlers = (deps: RowsDeps): EventHandler[] => [
  exactlyOnce(
    friendRowChanged,
    (row, change) => putRows(deps, [{ owner: row.userId, peer: row.toUserId, ...said(row) }], change),
    { projection },
  ),
  exactlyOnce(friendChanged, (changed, change) => endRows(deps.friendRows, changed, change), { projection }),
]

/** The events of relations and those of users come in any order: of who was deleted nothing is kept again. */
async function putRows(deps: RowsDeps, rows: readonly Omit<FriendRow, '_id'>[], change: Change): Promise<void> {
  const sides = rows.flatMap(({ owner, peer }) => [owner, peer])
  const gone = await goneAmong(deps, sides, change)
  await deps.friendRows.put(
    rows.filter(({ owner, peer }) => !gone.has(owner) && !gone.has(peer)),
    change,
  )
}

/** The row of whoever ends a relation is gone, and with `deleted` the other one, too. */
async function endRows(
  friendRows: Deps['friendRows'],
  { userId, toUserId, how }: Payload<typeof friendChanged>,
  change: Change,
): Promise<void> {
  if (how !== 'deleted' && how !== 'unfollowed') return
  const own = { owner: userId, peer: toUserId }
  const other = { owner: toUserId, peer: userId }
  await friendRows.remove(how === 'deleted' ? [own, other] : [own], change)
}
