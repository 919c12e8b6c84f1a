import type { Params } from '@im/contracts'
import type { userSearch } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { shownSince } from '../users/positions.ts'
import type { UserDocument } from '../users/user-document.ts'
import { metresTo } from './distance.ts'
import { placeOf } from './find-nearby.ts'
import { countSearch, listUsers, rowsUpTo, showPage, type Viewing } from './find-users.ts'
import { criteria } from './search-users.ts'

/**
 * Lists the newest users, with their distance when the viewer says where they are. Who asks for some of them only searches: few may fit,
 * and then all are looked at.
 */
export async function listNewUsers(deps: Deps, query: Params<(typeof userSearch)['listNewUsers']>, viewing: Viewing) {
  const rows = rowsUpTo(query)
  const wanted = criteria(query, deps.now())
  if (Object.keys(wanted).length) await countSearch(deps, viewing.viewerId)
  const filter = { ...wanted, except: viewing.viewerId }
  const users = rows ? await listUsers(deps, filter, { order: -1, rows }) : []
  const place = placeOf(query)
  const since = shownSince(deps.now())
  const distanceTo = (user: UserDocument) =>
    place && (user.locatedAt ?? 0) >= since ? metresTo(place, user) : undefined
  return showPage(
    deps,
    users.map((user) => ({ user, metres: distanceTo(user) })),
    query,
    viewing,
  )
}
