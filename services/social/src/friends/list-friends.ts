import type { Deps } from '../deps.ts'
import { type FriendsView, showRows } from '../relations/show-rows.ts'

interface Wanted {
  /** Part of the nickname or of the remark, in any case. */
  keyword: string
  status: 0 | 1 | 2
}

/** Friends (or followed users, too, for status 0) who are not blocked, in the order of the names the owner sees. */
export async function listFriends(
  deps: Pick<Deps, 'keptRows' | 'names' | 'talks'>,
  userId: number,
  { keyword, status }: Wanted,
): Promise<FriendsView[]> {
  const { keptRows, talks } = deps
  const [rows, talked] = await Promise.all([keptRows.unblockedBy(userId), talks.all(userId)])
  const wanted = status === 0 ? rows : rows.filter((row) => row.status === status)
  const shown = await showRows(deps, userId, wanted, talked)
  const text = keyword.toLowerCase()
  const isWanted = ({ toNickname, remarkName }: FriendsView) =>
    toNickname.toLowerCase().includes(text) || remarkName.toLowerCase().includes(text)
  return (text ? shown.filter(isWanted) : shown).sort(byName)
}

const nameOf = ({ remarkName, toNickname }: FriendsView) => remarkName || toNickname

function byName(a: FriendsView, b: FriendsView): number {
  const [first, second] = [nameOf(a), nameOf(b)]
  return first < second ? -1 : first > second ? 1 : a.toUserId - b.toUserId
}
