import { type Payload, streams } from '@im/contracts'
import { friendChanged, friendRowChanged, replayedRelations } from '@im/contracts/social'
import { type Change, catchUp, type EventHandler, exactlyOnce } from '@im/service-kit'
import type { Deps } from '../deps.ts'

const projection = { name: 'friend-rows', stream: streams.social }

/** Reads the relations there were before this service followed their events. */
export const followRelations = (deps: Pick<Deps, 'friendRows' | 'social'> & Parameters<typeof catchUp>[0]) =>
  catchUp(deps, {
    projection,
    page: (after) => deps.social.call(replayedRelations.pageRelations, { after, pageSize: 500 }),
    apply: (rows, change) =>
      deps.friendRows.put(
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

export const relationHandlers = ({ friendRows }: Pick<Deps, 'friendRows'>): EventHandler[] => [
  exactlyOnce(
    friendRowChanged,
    (row, change) => friendRows.put([{ owner: row.userId, peer: row.toUserId, ...said(row) }], change),
    { projection },
  ),
  exactlyOnce(friendChanged, (changed, change) => endRows(friendRows, changed, change), { projection }),
]

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
