import type { ResultOf } from '@im/contracts'
import type { addressBook } from '@im/contracts/social'
import type { Deps } from '../deps.ts'
import type { Relation } from '../relations/pair.ts'
import type { Contact } from './books-repository.ts'

type View = ResultOf<(typeof addressBook)['listContacts']>[number]

/** Contacts as they are answered, with what the owner and they are to each other now; `rows` is what the owner says about them. */
export async function showContacts(
  { names, relations }: Pick<Deps, 'names' | 'relations'>,
  userId: number,
  contacts: readonly Contact[],
  rows?: ReadonlyMap<number, Relation>,
): Promise<View[]> {
  const found = contacts.flatMap(({ toUserId }) => (toUserId ? [toUserId] : []))
  const [known, own] = await Promise.all([names.of(found), rows ?? relations.rowsAbout(userId, found)])
  return contacts.map(({ _id, wereFriends, ...contact }) => ({
    ...contact,
    id: _id.toHexString(),
    toUserName: known.get(contact.toUserId)?.nickname ?? '',
    status: own.get(contact.toUserId)?.status !== 2 ? 0 : wereFriends ? 2 : 1,
  }))
}
