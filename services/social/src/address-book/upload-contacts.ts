import { setImmediate as nextTurn } from 'node:timers/promises'
import { ContractError, displayText } from '@im/contracts'
import { addressBookLimits } from '@im/contracts/social'
import { friendRules } from '@im/contracts/user'
import { limitError } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { eraseThoseGone } from '../people/erase-user.ts'
import { askFriendRules } from '../people/friend-rules.ts'
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

/** Removes and adds numbers. Returns the added ones that somebody is found by. Throws RateLimited for too many new ones a day. */
export async function uploadContacts(deps: Deps, userId: number, { added, removed }: Upload): Promise<Contact[]> {
  const { user, books, outbox } = deps
  const telephone = (await askFriendRules(user, [userId])).get(userId)?.telephone
  const areaCode = telephone?.areaCode ?? '86'
  const ownKey = telephone && `${areaCode}:${telephone.number}`
  const own = ownKey ? telephoneOf(ownKey) : ''
  const gone = [...(await contactKeys(removed, (text) => text, areaCode)).keys()].map(telephoneOf)
  const wanted = await contactKeys(added, ({ text }) => text, areaCode)
  if (ownKey) wanted.delete(ownKey)
  const remarks = await remarksOf(wanted)
  let counted: Promise<void> | undefined
  await outbox.commit(async (change) => {
    await books.beginUpload(userId, change)
    await books.remove(userId, gone, change)
    const known = new Map(
      (await books.byTelephones(userId, [...remarks.keys()], change.session)).map((row) => [row.toTelephone, row]),
    )
    const fresh = [...remarks].filter(([toTelephone]) => !known.has(toTelephone))
    if (fresh.length && (await books.count(userId, change)) + fresh.length > addressBookLimits.user)
      throw new ContractError('InvalidParams', { detail: `uploadJsonStr: more than ${addressBookLimits.user} numbers` })
    if (fresh.length) {
      // Once, however often the change is tried.
      counted ??= countNumbers(deps, userId, fresh.length)
      await counted
    }
    await books.add(
      fresh.map(([toTelephone, toRemarkName]) => ({
        ...{ userId, telephone: own, toTelephone, toRemarkName },
        ...{ toUserId: 0, registerEd: 0, registerTime: 0, wereFriends: false },
      })),
      change,
    )
    const renamed = [...known.values()].flatMap(({ _id, toTelephone, toRemarkName }) => {
      const remark = remarks.get(toTelephone)
      return remark && remark !== toRemarkName ? [{ _id, toRemarkName: remark }] : []
    })
    await books.rename(renamed, change)
  })
  return await findOwners(deps, userId, [...wanted.keys()])
}

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
 * Asks who has the numbers, after they are stored: who registers one of them from then on is told of by an event, which finds
 * the rows.
 */
async function findOwners(deps: Deps, userId: number, keys: readonly string[]): Promise<Contact[]> {
  const { user, books, relations } = deps
  if (!keys.length) return []
  const { users } = await user.call(friendRules.findByTelephones, { telephones: [...keys] })
  const owners = new Map(users.map((found) => [telephoneOf(found.telephone), found]))
  const found = users.map((one) => one.userId)
  const [rows, own] = await Promise.all([
    books.byTelephones(userId, keys.map(telephoneOf)),
    relations.rowsAbout(userId, found),
    eraseThoseGone(deps, [userId]),
  ])
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
  return rows.flatMap((row): Contact[] => {
    if (!changed.has(row)) return row.registerEd ? [row] : []
    const found = changed.get(row)
    return found && !gone.has(row.toTelephone) ? [{ ...row, ...found, registerEd: 1 }] : []
  })
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
