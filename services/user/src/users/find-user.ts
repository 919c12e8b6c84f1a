import { ContractError } from '@im/contracts'
import { noticeUserId } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import type { UserDocument } from './user-document.ts'

const maxUserId = 2_147_483_647

/** The userId that a text stands for, or undefined. */
export function userIdIn(text: string): number | undefined {
  if (!/^\d{1,10}(\.0+)?$/.test(text)) return undefined
  const userId = Number(text)
  return userId >= 1 && userId <= maxUserId ? userId : undefined
}

/** Finds any user but the sender of notices. Throws UserNotFound. */
export async function getUser({ users }: Pick<Deps, 'users'>, userId: number): Promise<UserDocument> {
  const user = userId === noticeUserId ? undefined : await users.byId(userId)
  if (!user) throw new ContractError('UserNotFound')
  return user
}

/** Finds a user by account or by userId. */
export async function findUserByAccount(
  { users }: Pick<Deps, 'users'>,
  account: string,
): Promise<UserDocument | undefined> {
  const userId = userIdIn(account)
  const user = (await users.byAccount(account)) ?? (userId === undefined ? undefined : await users.byId(userId))
  return user?._id === noticeUserId ? undefined : user
}
