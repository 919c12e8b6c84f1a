import { setImmediate as nextTurn } from 'node:timers/promises'
import { ContractError, displayText } from '@im/contracts'
import { addressBookLimits } from '@im/contracts/social'
import { friendRules } from '@im/contracts/user'
import { type Change, limitError } from '@im/service-kit'
import { ObjectId } from 'mongodb'
import type { Deps } from '../deps.ts'
import { eraseThoseGone } from '../people/erase-user.ts'
import { askFriendRules } from '../people/friend-rules.ts'
import type { Relation } from '../relations/pair.ts'
import type { Contact } from './books-repository.ts'
import { contactKeys, telephoneOf } from './contact-number.ts'

export interface Upload {
  /** Numbers as they are noted, with the names they are noted under. */
  added: readonly { text: string; remark: string }[]
  removed: readonly string[]
}

const longestRemark = 64
/** Of a remark so many code units are read, and of all so many before other work gets its turn: cleaning takes 1 ms for a thousand. */
const [longestRead, readInTurn] = [1000, 16_000]

/** Contacts that somebody is found by, and what their owner says about these. */
interface Uploaded {
  contacts: Contact[]
  own: ReadonlyMap<number, Relation>
}

/** Removes and adds numbers. Returns the added ones that somebody is found by. Throws RateLimited for too many new ones a day. */
export async function uploadContacts(deps: Deps, userId: number, { added, removed }: Upload): Promise<Uploaded> {
  const { user, outbox } = deps
  const telephone = (await askFriendRules(user, [userId])).get(userId)?.telephone
  const areaCode = telephone?.areaCode ?? '86'
  const ownKey = telephone && `${areaCode}:${telephone.number}`
  const gone = [...(await contactKeys(removed, (text) => text, areaCode)).keys()].map(telephoneOf)
  const wanted = await contactKeys(added, ({ text }) => text, areaCode)
  if (ownKey) wanted.delete(ownKey)
  const remarks = await remarksOf(wanted)
  const owner = { userId, telephone: ownKey ? telephoneOf(ownKey) : '' }
  let counted: Promise<void> | undefined
  // Once, however often the change is tried.
  const count = (numbers: number) => (counted ??= countNumbers(deps, userId, numbers))
  const rows = await outbox.commit((change) => store(deps, owner, { gone, remarks, count }, change))
  return await findOwners(deps, userId, [...wanted.keys()], rows)
}

interface Stored {
  gone: readonly string[]
  remarks: ReadonlyMap<string, string>
  /** Counts numbers that are new. Throws RateLimited. */
  count: (numbers: number) => Promise<void>
}

/** Returns the rows of the numbers in `remarks`, in the order of the numbers. */
async function store(
  { books }: Pick<Deps, 'books'>,
  { userId, telephone }: Pick<Contact, 'userId' | 'telephone'>,
  { gone, remarks, count }: Stored,
  change: Change,
): Promise<Contact[]> {
  books.beginUpload(userId, change)
  books.remove(userId, gone, change)
  const stored = await books.byTelephones(userId, [...new Set([...gone, ...remarks.keys()])], change.session)
  const isGone = new Set(gone)
  const known = new Map(stored.flatMap((row) => (isGone.has(row.toTelephone) ? [] : [[row.toTelephone, row]])))
  const fresh = [...remarks].flatMap(([toTelephone, toRemarkName]): Contact[] =>
    known.has(toTelephone) ? [] : [{ ...newContact(), userId, telephone, toTelephone, toRemarkName }],
  )
  const removed = stored.length - known.size
  if (fresh.length && (await books.count(userId, change)) - removed + fresh.length > addressBookLimits.user)
    throw new ContractError('InvalidParams', { detail: `uploadJsonStr: more than ${addressBookLimits.user} numbers` })
  if (fresh.length) await count(fresh.length)
  books.add(fresh, change)
  const renamed = [...known.values()].flatMap((row) => {
    const toRemarkName = remarks.get(row.toTelephone)
    return toRemarkName && toRemarkName !== row.toRemarkName ? [{ ...row, toRemarkName }] : []
  })
  books.rename(renamed, change)
  const rows = new Map([...known.values(), ...renamed, ...fresh].map((row) => [row.toTelephone, row]))
  return [...rows.values()].sort((a, b) => (a.toTelephone < b.toTelephone ? -1 : 1))
}

const newContact = () => ({
  ...{ _id: new ObjectId(), toUserId: 0, registerEd: 0 as const, registerTime: 0, wereFriends: false },
})

/** Numbers that were added count, whatever becomes of them: whose they are has been told. */
async function countNumbers(
  { rateCounters }: Pick<Deps, 'rateCounters'>,
  userId: number,
  count: number,
): Promise<void> {
  const limit = { key: `address-book:${userId}`, max: addressBookLimits.day, seconds: 86_400 }
  const granted = await rateCounters.takeBlock(limit, count, count)
  if (typeof granted === 'object') throw limitError('RateLimited', granted.waitSeconds)
}

/**
 * Asks who has the numbers of these rows, after they are stored: who registers one of them from then on is told of by an event, which
 * finds the rows.
 */
async function findOwners(
  deps: Deps,
  userId: number,
  keys: readonly string[],
  rows: readonly Contact[],
): Promise<Uploaded> {
  const { user, books, relations, names } = deps
  if (!keys.length) return { contacts: [], own: new Map() }
  const { users } = await user.call(friendRules.findByTelephones, { telephones: [...keys] })
  const owners = new Map(users.map((found) => [telephoneOf(found.telephone), found]))
  const found = users.map((one) => one.userId)
  // Whoever shows them needs the names.
  const [own] = await Promise.all([relations.rowsAbout(userId, found), names.of(found), eraseThoseGone(deps, [userId])])
  const changes = rows.flatMap((was) => {
    const owner = owners.get(was.toTelephone)
    if ((owner?.userId ?? 0) === was.toUserId) return []
    const found = owner && {
      toUserId: owner.userId,
      registerTime: owner.registeredAt,
      wereFriends: own.get(owner.userId)?.status === 2,
    }
    return [{ was, found }]
  })
  await books.settle(changes)
  const noted = changes.flatMap(({ was, found }) => (found ? [{ ...was, toUserId: found.toUserId }] : []))
  const gone = await takeBack({ user, books }, noted, owners)
  const changed = new Map(changes.map(({ was, found }) => [was, found]))
  const contacts = rows.flatMap((row): Contact[] => {
    if (!changed.has(row)) return row.registerEd ? [row] : []
    const found = changed.get(row)
    return found && !gone.has(row.toTelephone) ? [{ ...row, ...found, registerEd: 1 }] : []
  })
  return { contacts, own }
}

/**
 * Who stopped to be found, or was deleted, between the question and the notes would stay in them: the event of it may have come
 * before. So it is asked again what was noted. Returns the numbers that nobody is found by now.
 */
async function takeBack(
  { user, books }: Pick<Deps, 'user' | 'books'>,
  noted: readonly Contact[],
  owners: ReadonlyMap<string, { telephone: string }>,
): Promise<Set<string>> {
  if (!noted.length) return new Set()
  const telephones = noted.map(({ toTelephone }) => owners.get(toTelephone)!.telephone)
  const { users } = await user.call(friendRules.findByTelephones, { telephones })
  const still = new Set(users.map(({ telephone, userId }) => `${telephoneOf(telephone)} ${userId}`))
  const gone = noted.filter(({ toTelephone, toUserId }) => !still.has(`${toTelephone} ${toUserId}`))
  await books.settle(gone.map((was) => ({ was, found: undefined })))
  return new Set(gone.map(({ toTelephone }) => toTelephone))
}

/** The remarks as they are shown, because names that people note for themselves are shown, too; by area code + number. */
async function remarksOf(wanted: ReadonlyMap<string, { remark: string }>): Promise<Map<string, string>> {
  const remarks = new Map<string, string>()
  let read = 0
  for (const [key, { remark }] of wanted) {
    const text = remark.slice(0, longestRead)
    remarks.set(telephoneOf(key), [...displayText(text, 'line')].slice(0, longestRemark).join(''))
    read += text.length
    if (read < readInTurn) continue
    read = 0
    await nextTurn()
  }
  return remarks
}
