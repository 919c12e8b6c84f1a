import type { Deps } from '../deps.ts'
import { loginNameCandidates } from '../users/login-names.ts'
import { areaCodeOf } from '../users/telephones.ts'
import type { UserDocument } from '../users/user-document.ts'

/**
 * Finds everyone whom a login name may mean: a number, area code + number, account or user name, plain or as md5. Almost always
 * that is one user. When a text is the number of one user and the account of another, the password decides, so nobody can get
 * between somebody and their account by registering a similar name.
 *
 * The area code decides between users with the same number. Without a match, the number is looked for under other area codes.
 */
export async function findLoginUsers(
  { users }: Pick<Deps, 'users'>,
  name: string,
  areaCode: string,
): Promise<UserDocument[]> {
  const names = loginNameCandidates(name)
  const meant = await users.byLoginNames(names, areaCodeOf(areaCode))
  return meant.length ? meant : users.byNumberNames(names)
}
