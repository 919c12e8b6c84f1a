import type { Params } from '@im/contracts'
import { firstUserId, type userSearch } from '@im/contracts/user'
import { foldText } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { birthdaysOfAges } from '../users/ages.ts'
import type { UserFilter } from '../users/searchable-users-repository.ts'
import type { UserDocument } from '../users/user-document.ts'
import { countSearch, findExactly, listUsers, nameCriterion, rowsUpTo, showPage, type Viewing } from './find-users.ts'

type Query = Params<(typeof userSearch)['searchUsers']>

/** Finds users by what is given of them, newest first (spec 02-user.md, /user/query). */
export async function searchUsers(deps: Deps, query: Query, viewing: Viewing) {
  await countSearch(deps, viewing.viewerId)
  const { userId: before, pageSize } = query
  const page = { pageIndex: before === undefined ? query.pageIndex : 0, pageSize }
  const rows = rowsUpTo(page)
  const found = rows ? await find(deps, query, viewing.viewerId, rows) : []
  return showPage(
    deps,
    found.map((user) => ({ user })),
    page,
    viewing,
  )
}

async function find(deps: Deps, query: Query, viewerId: number, rows: number): Promise<UserDocument[]> {
  const { nickname, telephone, userId: before } = query
  const config = await deps.serverConfig.get()
  const name = nickname === undefined ? undefined : nameCriterion(nickname, config)
  if (nickname !== undefined && !name) return []
  const filter: UserFilter = { name, ...criteria(query, deps.now()), except: viewerId }
  if (telephone === undefined) return listUsers(deps, filter, { order: -1, after: before, rows })
  const exact = await findExactly(deps, telephone, config, { account: false })
  return exact
    .filter((user) => isListed(user, viewerId) && (before === undefined || user._id < before) && fits(user, filter))
    .sort((a, b) => b._id - a._id)
}

/** Ordinary users who are not locked, except the viewer. */
export const isListed = (user: UserDocument, viewerId: number): boolean =>
  user._id !== viewerId && user._id >= firstUserId && user.status === 1 && user.userType === 0

/** Sex and age, and for `/user/query` the range of birthdays. */
export function criteria(
  { sex, minAge, maxAge, startTime, endTime }: Pick<Query, 'sex' | 'minAge' | 'maxAge' | 'startTime' | 'endTime'>,
  now: number,
): Pick<UserFilter, 'sex' | 'birthday'> {
  const ages = birthdaysOfAges(minAge, maxAge, now)
  const froms = [ages?.from, startTime].filter((time) => time !== undefined)
  const tos = [ages?.to, endTime].filter((time) => time !== undefined)
  const from = froms.length ? Math.max(...froms) : undefined
  const to = tos.length ? Math.min(...tos) : undefined
  const birthday = from === undefined && to === undefined ? undefined : { from, to }
  return { ...(sex === undefined || sex === -1 ? {} : { sex }), ...(birthday ? { birthday } : {}) }
}

/** Whether a user who was found by a number also has what else was asked for. */
export function fits(user: UserDocument, filter: Pick<UserFilter, 'name' | 'sex' | 'birthday'>): boolean {
  const { sex, birthday } = user
  if (filter.sex !== undefined && sex !== filter.sex) return false
  if (filter.name && !hasName(user, filter.name)) return false
  if (!filter.birthday) return true
  const { from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY } = filter.birthday
  return birthday !== 0 && birthday >= from && birthday <= to
}

function hasName({ nickname, settings }: UserDocument, { text, whole }: NonNullable<UserFilter['name']>): boolean {
  const [name, wanted] = [foldText(nickname), foldText(text)]
  return settings.nameSearch === 1 && (whole ? name === wanted : name.includes(wanted))
}
