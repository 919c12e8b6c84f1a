import type { WrittenRows } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { type FriendsView, rowsToShow, type ShownRow, viewOf } from '../relations/show-rows.ts'

interface Wanted {
  /** Part of the nickname or of the remark, in any case. */
  keyword: string
  status: 0 | 1 | 2
}

type ListDeps = Pick<Deps, 'keptRows' | 'names' | 'talks'>

/** Friends (or followed users, too, for status 0) who are not blocked, in the order of the names the owner sees. */
export async function listFriends(deps: ListDeps, userId: number, wanted: Wanted): Promise<FriendsView[]> {
  const shown = await wantedRows(deps, userId, wanted)
  return shown.sort(byName).map(viewOf)
}

/** All friends, written: what a client asks for at each start. */
export async function writeFriends(deps: ListDeps & Pick<Deps, 'writtenLists'>, userId: number): Promise<WrittenRows> {
  return deps.writtenLists.of(userId, await wantedRows(deps, userId, { keyword: '', status: 2 }), byName)
}

async function wantedRows(deps: ListDeps, userId: number, { keyword, status }: Wanted): Promise<ShownRow[]> {
  const { keptRows, talks } = deps
  const [rows, talked] = await Promise.all([keptRows.unblockedBy(userId), talks.all(userId)])
  const wanted = status === 0 ? rows : rows.filter((row) => row.status === status)
  const shown = await rowsToShow(deps, userId, wanted, talked)
  const text = keyword.toLowerCase()
  const isWanted = ({ row, name }: ShownRow) =>
    (name?.nickname ?? '').toLowerCase().includes(text) || row.remarkName.toLowerCase().includes(text)
  return text ? shown.filter(isWanted) : shown
}

const nameOf = ({ row, name }: ShownRow) => row.remarkName || (name?.nickname ?? '')

function byName(a: ShownRow, b: ShownRow): number {
  const [first, second] = [nameOf(a), nameOf(b)]
  return first < second ? -1 : first > second ? 1 : a.row.toUserId - b.row.toUserId
}
