import { setImmediate as nextTurn } from 'node:timers/promises'
import { ContractError, displayText } from '@im/contracts'
import { addressBookLimits } from '@im/contracts/social'
import { friendRules } from '@im/contracts/user'
import { type Change, limitError } from '@im/service-kit'
import { ObjectId } from 'mongodb'
import type { Deps } from '../deps.ts'
import { askFriendRules } from '../people/friend-rules.ts'
import type { Relation } from '../relations/pair.ts'
import { type Contact, type Found, settledFields } from './books-repository.ts'
import { contactKeys, telephoneOf } from './contact-number.ts'

export interface Upload {
  /** Numbers as they are noted, with the names they are noted under. */
  added: readonly { text: string; remark: string }[]
  removed: readonly string[]
}

const longestRemark = 64
/** Of a remark so many code units are read, and of all so many before other work gets its turn: cleaning takes 1 ms for a thousand. */
const [longestRead, readInTurn] = [1000, 16_000]

/** An upload that has waited so long (ms) for those before it is refused: who waits for the answer would not get it. */
const longestWait = 10_000
/** How long (ms) an upload is tried again when another replica takes one of the same user. */
const retryFor = 15_000

/** Contacts that somebody is found by, and what their owner says about these. */
interface Uploaded {
  contacts: Contact[]
  own: ReadonlyMap<number, Relation>
}

/**
 * Removes and adds numbers. Returns the added ones that somebody is found by. Throws RateLimited for too many new ones a day, and
 * when too many uploads of the user wait.
 */
export async function uploadContacts(deps: Deps, userId: number, { added, removed }: Upload): Promise<Uploaded> {
  const { user, uploadTurns } = deps
  const telephone = (await askFriendRules(user, [userId])).get(userId)?.telephone
  const areaCode = telephone?.areaCode ?? '86'
  const ownKey = telephone && `${areaCode}:${telephone.number}`
  const gone = [...(await contactKeys(removed, (text) => text, areaCode)).keys()].map(telephoneOf)
  const wanted = await contactKeys(added, ({ text }) => text, areaCode)
  if (ownKey) wanted.delete(ownKey)
  const remarks = await remarksOf(wanted)
  const owner = { userId, telephone: ownKey ? telephoneOf(ownKey) : '' }
  const refuseAt = performance.now() + longestWait
  return await uploadTurns.take(userId, async () => {
    if (performance.now() > refuseAt) throw limitError('RateLimited', longestWait / 1000)
    return await storeAndFind(deps, owner, { gone, remarks, keys: [...wanted.keys()] })
  })
}

type Owner = Pick<Contact, 'userId' | 'telephone'>

interface Numbers {
  /** Area code + number. */
  gone: readonly string[]
  /** By area code + number. */
  remarks: ReadonlyMap<string, string>
  /** The same numbers, as `<area code>:<number>`. */
  keys: readonly string[]
}

/**
 * Asks whose the numbers are before and after they are stored. Who registers, stops to be found or is deleted between these is told of
 * by an event that may have come before the rows; afterwards the event finds them.
 */
async function storeAndFind(deps: Deps, owner: Owner, numbers: Numbers): Promise<Uploaded> {
  const { outbox, books, relations } = deps
  const { userId } = owner
  const foundBefore = await askOwners(deps, numbers.keys)
  let counted: Promise<void> | undefined
  // Once, however often the change is tried.
  const count = (numbers: number) => (counted ??= countNumbers(deps, userId, numbers))
  const { rows, own } = await outbox.commit(
    (change) => store(deps, owner, { ...numbers, found: foundBefore, count }, change),
    retryFor,
  )
  const [found, known] = await Promise.all([askOwners(deps, numbers.keys), askFriendRules(deps.user, [userId])])
  // What they had may have been removed before these rows were there.
  if (!known.has(userId)) await books.removeAllOf(userId)
  const strays = rows.filter((row) => (found.get(row.toTelephone)?.userId ?? 0) !== row.toUserId)
  const newcomers = strays.flatMap(({ toTelephone }) => found.get(toTelephone)?.userId ?? [])
  const all = newcomers.length ? new Map([...own, ...(await relations.rowsAbout(userId, newcomers))]) : own
  const settled = new Map(strays.map((was) => [was, foundIn(was, { found, own: all })]))
  await books.settle([...settled].map(([was, found]) => ({ was, found })))
  const contacts = rows.flatMap((row): Contact[] => {
    const found = settled.get(row)
    if (found) return [{ ...row, ...found, registerEd: 1 }]
    return settled.has(row) || !row.registerEd ? [] : [row]
  })
  return { contacts, own: all }
}

type Owners = ReadonlyMap<string, { userId: number; registeredAt: number }>

/** Those who are found by numbers now, by area code + number. */
async function askOwners({ user }: Pick<Deps, 'user'>, keys: readonly string[]): Promise<Owners> {
  if (!keys.length) return new Map()
  const { users } = await user.call(friendRules.findByTelephones, { telephones: [...keys] })
  return new Map(users.map(({ telephone, ...owner }) => [telephoneOf(telephone), owner]))
}

/** What a row is to say of whom its number belongs to. */
function foundIn(
  { toTelephone }: Pick<Contact, 'toTelephone'>,
  { found, own }: { found: Owners; own: ReadonlyMap<number, Relation> },
): Found | undefined {
  const owner = found.get(toTelephone)
  if (!owner) return undefined
  const { userId: toUserId, registeredAt: registerTime } = owner
  return { toUserId, registerTime, wereFriends: own.get(toUserId)?.status === 2 }
}

interface Storing extends Numbers {
  found: Owners
  /** Counts numbers that are new. Throws RateLimited. */
  count: (numbers: number) => Promise<void>
}

/** Returns the rows of the numbers in `remarks`, in the order of the numbers, and what the owner says about those who are found. */
async function store(
  { books, relations, names }: Pick<Deps, 'books' | 'relations' | 'names'>,
  { userId, telephone }: Owner,
  { gone, remarks, found, count }: Storing,
  change: Change,
): Promise<{ rows: Contact[]; own: ReadonlyMap<number, Relation> }> {
  books.beginUpload(userId, change)
  books.remove(userId, gone, change)
  const ids = [...found.values()].map((owner) => owner.userId)
  const [stored, own] = await Promise.all([
    books.byTelephones(userId, [...new Set([...gone, ...remarks.keys()])], change),
    relations.rowsAbout(userId, ids),
    // Whoever shows them needs the names.
    names.of(ids),
  ])
  const isGone = new Set(gone)
  const known = new Map(stored.flatMap((row) => (isGone.has(row.toTelephone) ? [] : [[row.toTelephone, row]])))
  const fresh = [...remarks].flatMap(([toTelephone, toRemarkName]): Contact[] =>
    known.has(toTelephone) ? [] : [noted({ ...newContact(), userId, telephone, toTelephone, toRemarkName })],
  )
  const removed = stored.length - known.size
  if (fresh.length && (await books.count(userId, change)) - removed + fresh.length > addressBookLimits.user)
    throw new ContractError('InvalidParams', { detail: `uploadJsonStr: more than ${addressBookLimits.user} numbers` })
  if (fresh.length) await count(fresh.length)
  books.add(fresh, change)
  const current = [...known.values()].map((row) => {
    const is = noted({ ...row, toRemarkName: remarks.get(row.toTelephone) || row.toRemarkName })
    if (is.toRemarkName !== row.toRemarkName || is.toUserId !== row.toUserId) books.replace(is, change)
    return is
  })
  const rows = [...current, ...fresh].sort((a, b) => (a.toTelephone < b.toTelephone ? -1 : 1))
  return { rows, own }

  function noted(row: Contact): Contact {
    const is = foundIn(row, { found, own })
    return (is?.toUserId ?? 0) === row.toUserId ? row : { ...row, ...settledFields(is) }
  }
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
