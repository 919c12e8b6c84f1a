import { firstUserId } from '@im/contracts/user'
import {
  type Change,
  ensureIndexes,
  escapeRegex,
  type FirstQuery,
  findFirst,
  foldText,
  gramsOf,
  gramToFind,
} from '@im/service-kit'
import type { Collection, Db, Filter } from 'mongodb'
import type { UserDocument } from './user-document.ts'

/** A user as lists find them. */
export interface SearchableUser {
  _id: number
  /** The folded nickname. */
  name: string
  /** Its pieces; none when the user does not want to be found by name. */
  grams: string[]
  sex: number
  birthday: number
}

export interface UserFilter {
  /** The whole nickname, or a part of it. */
  name?: { text: string; whole: boolean }
  sex?: number
  /** Seconds, both included. Users without a birthday are in no range. */
  birthday?: { from?: number; to?: number }
  except: number
}

/** Users who are looked at for what no index finds. */
const mostLookedAt = 10_000
/** Among so many users some have a frequent piece of a name. */
const usersToAName = 2000
/** After so many, and the range that follows these, all that are looked at are there. */
const firstLookedAt = 400

/** Ordinary users who may be listed, with what lists are filtered by. Locked users are absent. */
export class SearchableUsersRepository {
  readonly #users: Collection<SearchableUser>

  constructor(db: Db) {
    this.#users = db.collection('searchable-users')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#users, [{ key: { grams: 1, _id: 1 } }, { key: { sex: 1, _id: 1 } }])
  }

  /** Follows a change of the user. Most changes do not matter here and write nothing. */
  follow(before: UserDocument | undefined, after: UserDocument | undefined, change: Change): void {
    const was = before && searchable(before)
    const is = after && searchable(after)
    if (was && !is) change.later(this.#users, { deleteOne: { filter: { _id: was._id } } })
    if (!is || (was && !differs(was, is))) return
    const { _id, ...fields } = withGrams(is)
    change.later(this.#users, { replaceOne: { filter: { _id }, replacement: fields, upsert: true } })
  }

  /** Stores users as they are, for those who registered before users could be searched. */
  async add(users: readonly UserDocument[]): Promise<void> {
    const rows = users.map(searchableRow).filter((row) => row !== undefined)
    if (!rows.length) return
    await this.#users.bulkWrite(
      rows.map(({ _id, ...fields }) => ({
        // Whoever changes the user meanwhile writes the row, too, and is right.
        updateOne: { filter: { _id }, update: { $setOnInsert: fields }, upsert: true },
      })),
      { ordered: false },
    )
  }

  /** How many there are, as MongoDB estimates it. */
  count(): Promise<number> {
    return this.#users.estimatedDocumentCount()
  }

  /** Ids above `after`, ascending. */
  async idsAfter(after: number, limit: number): Promise<number[]> {
    const range = { order: 1 as const, from: after + 1, to: 2 ** 31 - 1 }
    const found = await findFirst(this.#users, { filter: {}, ...range, limit, projection: { _id: 1 } })
    return found.map(({ _id }) => _id)
  }

  /**
   * Ids of users who fit, in the order of their ids. `range` as in `findFirst`. A name or a sex has an index; for what else is asked,
   * 10,000 users are looked at: of those with the name, or of all from the newest (`newest`) on.
   */
  async find(
    filter: UserFilter,
    { newest, ...range }: Pick<FirstQuery<SearchableUser>, 'order' | 'from' | 'to'> & { newest: () => Promise<number> },
    limit: number,
  ): Promise<number[]> {
    const { filter: indexed, also = {} } = conditions(filter)
    const isScan = range.order === -1 && !filter.name && Object.keys(also).length > 0
    const to = isScan ? Math.max(range.to, Math.min(range.from, await newest()) - mostLookedAt) : range.to
    // The one who is not wanted is dropped here: a condition on the id beside its range keeps the stand-in from the index.
    const found = await findFirst(this.#users, {
      ...{ filter: indexed, also, ...range, to, highest: newest },
      ...(isNarrowed(filter) ? { most: mostLookedAt } : {}),
      ...(filter.name ? { span: usersToAName } : isScan ? { span: firstLookedAt } : {}),
      ...{ limit: limit + 1, projection: { _id: 1 } },
    })
    const ids = found.map(({ _id }) => _id).filter((userId) => userId !== filter.except)
    return ids.slice(0, limit)
  }
}

/** Of names that hold a piece of a keyword nearly all hold the keyword; how many of them fit the rest, nobody knows. */
const isNarrowed = ({ name, sex, birthday }: UserFilter) =>
  !name?.whole && (sex !== undefined || birthday !== undefined)

/** The row of a user; undefined when they may not be listed. */
export function searchableRow(user: UserDocument): SearchableUser | undefined {
  const row = searchable(user)
  return row && withGrams(row)
}

const withGrams = (row: Omit<SearchableUser, 'grams'>): SearchableUser => ({ ...row, grams: gramsOf(row.name) })

/** The same without the pieces, which take longer to make. */
function searchable(user: UserDocument): Omit<SearchableUser, 'grams'> | undefined {
  const { _id, nickname, sex, birthday, status, userType, settings } = user
  if (status !== 1 || userType !== 0 || _id < firstUserId) return undefined
  return { _id, name: settings.nameSearch === 1 ? foldText(nickname) : '', sex, birthday }
}

const differs = (a: Omit<SearchableUser, 'grams'>, b: Omit<SearchableUser, 'grams'>) =>
  a.name !== b.name || a.sex !== b.sex || a.birthday !== b.birthday

function conditions({ name, sex, birthday }: UserFilter): Pick<FirstQuery<SearchableUser>, 'filter' | 'also'> {
  const filter: Filter<SearchableUser> = {}
  const also: Filter<SearchableUser> = {}
  if (sex !== undefined) Object.assign(name ? also : filter, { sex })
  if (birthday) {
    const { from, to } = birthday
    also.birthday = {
      $ne: 0,
      ...(from === undefined ? {} : { $gte: from }),
      ...(to === undefined ? {} : { $lte: to }),
    }
  }
  if (name) {
    const folded = foldText(name.text)
    const gram = gramToFind(folded)
    filter.grams = gram
    if (name.whole) also.name = folded
    else if (gram !== folded) also.name = { $regex: escapeRegex(folded) }
  }
  return { filter, also }
}
