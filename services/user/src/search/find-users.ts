import { type Call, ContractError } from '@im/contracts'
import type { ServerConfig, UserCard } from '@im/contracts/user'
import type { Static } from 'typebox'
import type { Deps } from '../deps.ts'
import { relationsTo } from '../relations/relations.ts'
import { loginNameCandidates } from '../users/login-names.ts'
import type { UserFilter } from '../users/searchable-users-repository.ts'
import { telephoneText } from '../users/telephones.ts'
import { userCard } from '../users/user-card.ts'
import type { UserDocument } from '../users/user-document.ts'

/** Nobody reads further than this in a list of users. */
export const longestList = 1000
/** Users that are read at once, and how often: a rare filter may end a page early. */
const batch = 200
const mostBatches = 5

export interface Found {
  user: UserDocument
  metres?: number
}

export interface Page {
  pageIndex: number
  pageSize: number
}

export type Viewing = Pick<Call, 'deadline' | 'signal'> & { viewerId: number }

/** How many rows a page needs to be read. 0 when the page is beyond the longest list. */
export const rowsUpTo = ({ pageIndex, pageSize }: Page) =>
  pageIndex * pageSize >= longestList ? 0 : Math.min((pageIndex + 1) * pageSize, longestList)

/** Searches count together, whatever their endpoint (transport.md §8). */
export const countSearch = ({ rateCounters }: Pick<Deps, 'rateCounters'>, userId: number) =>
  rateCounters.demand('RateLimited', { key: `search:${userId}`, max: 60, seconds: 60 })

/** What config nicknameSearchUser makes of a keyword: undefined when nobody is found by name. */
export function nameCriterion(text: string, { nicknameSearchUser }: ServerConfig): UserFilter['name'] | undefined {
  return nicknameSearchUser === 0 ? undefined : { text, whole: nicknameSearchUser === 1 }
}

/** Users in the order of their ids who fit the filter and `also`. */
export async function listUsers(
  { users }: Pick<Deps, 'users'>,
  filter: UserFilter,
  options: { order: 1 | -1; after?: number; rows: number; also?: (user: UserDocument) => boolean },
): Promise<UserDocument[]> {
  const { order, rows, also } = options
  const found: UserDocument[] = []
  let after = options.after
  for (let n = 0; n < mostBatches && found.length < rows; n++) {
    const limit = also ? batch : rows
    const ids = await users.search(filter, order, after, limit)
    const known = await users.byIds(ids)
    for (const userId of ids) {
      const user = known.get(userId)
      if (user && (!also || also(user))) found.push(user)
    }
    after = ids.at(-1)
    if (ids.length < limit) break
  }
  return found.slice(0, rows)
}

/** Users with exactly this account or number, as far as they may be found by it. */
export async function findExactly(
  { users }: Pick<Deps, 'users'>,
  text: string,
  config: ServerConfig,
  by: { account: boolean },
): Promise<UserDocument[]> {
  const named = await users.byAnyName(loginNameCandidates(text))
  const byNumber = config.telephoneSearchUser === 1
  return named.filter((user) => {
    if (by.account && user.account.toLowerCase() === text.toLowerCase()) return true
    const { phoneSearch, closeTelephoneFind } = user.settings
    return byNumber && phoneSearch === 1 && closeTelephoneFind === 0 && isNumberOf(user, text)
  })
}

/** A user may have this text as account, and somebody else as number. */
function isNumberOf(user: UserDocument, text: string): boolean {
  const { account: _account, ...registered } = user
  const name = telephoneText(registered)
  if (name === undefined) return false
  if (registered.userName !== undefined) return name.toLowerCase() === text.toLowerCase()
  const digits = text.replace(/\D/g, '').replace(/^0+/, '')
  return digits.length > 0 && (name === digits || user.telephone?.number === digits)
}

/** The cards of one page. Those who blocked the viewer are left out. */
export async function showPage(
  deps: Deps,
  found: readonly Found[],
  { pageIndex, pageSize }: Page,
  { viewerId, ...waiting }: Viewing,
): Promise<Static<typeof UserCard>[]> {
  const rows = found.slice(pageIndex * pageSize, (pageIndex + 1) * pageSize)
  const ids = rows.map(({ user }) => user._id)
  const [relations, { downloadAvatarUrl: avatarBase }] = await Promise.all([
    relationsTo(deps, viewerId, ids, waiting),
    deps.serverConfig.get(),
  ])
  return rows.flatMap(({ user, metres }) => {
    const relation = relations.get(user._id)
    if (!relation) throw new ContractError('ServiceUnavailable', { detail: 'social gave no answer' })
    return relation.isBlocked ? [] : [userCard(user, { relation, avatarBase, now: deps.now(), metres })]
  })
}
