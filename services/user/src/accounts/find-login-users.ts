import type { Deps } from '../deps.ts'
import { loginNameCandidates } from '../users/login-names.ts'
import { areaCodeOf } from '../users/telephones.ts'
import type { UserDocument } from '../users/user-document.ts'

/**
 * Everyone whom a login name may mean: md5 or plain number, area code + number, account or user name. Almost always one user;
 * where a text is the number of one and the account of another, the password tells who it is, so nobody can stand in front
 * of somebody else by registering a name that looks like theirs.
 *
 * The area code decides between users with the same number. Apps that send a wrong one find the number under another code.
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
