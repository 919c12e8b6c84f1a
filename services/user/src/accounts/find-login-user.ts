import type { Deps } from '../deps.ts'
import { loginNameCandidates } from '../users/login-names.ts'
import type { UserDocument } from '../users/users-repository.ts'

/** The user a login name means: md5 or plain number, area code + number, or account. `areaCode` decides between several. */
export async function findLoginUser(
  { users }: Pick<Deps, 'users'>,
  name: string,
  areaCode: string,
): Promise<UserDocument | undefined> {
  const found = await users.byLoginNames(loginNameCandidates(name))
  const code = areaCode.replace(/\D/g, '').replace(/^0+/, '')
  found.sort((a, b) => a._id - b._id)
  return found.find((user) => user.areaCode === code) ?? found[0]
}
