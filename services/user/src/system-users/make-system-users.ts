import { noticeUserId, systemUserId } from '@im/contracts/user'
import { isDuplicateKey } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { NameTakenError } from '../users/names-repository.ts'
import { newUser } from '../users/new-user.ts'

/** Makes the system's own accounts if they are missing: 10000, everybody's first friend, and 10005, the sender of notices. */
export async function makeSystemUsers(deps: Pick<Deps, 'users' | 'outbox' | 'now'>): Promise<void> {
  await makeSystemUser(deps, systemUserId, '系统消息')
  await makeSystemUser(deps, noticeUserId, '系统通知')
}

async function makeSystemUser(
  { users, outbox, now }: Pick<Deps, 'users' | 'outbox' | 'now'>,
  userId: number,
  nickname: string,
): Promise<void> {
  if (await users.byId(userId)) return
  const user = newUser({
    userId,
    account: String(userId),
    nickname,
    userType: 2,
    settings: { showTelephone: -1, showLastLoginTime: -1 },
    createTime: Math.floor(now() / 1000),
  })
  try {
    await outbox.commit(async (change) => users.add(user, change))
  } catch (error) {
    // Another replica made it in the same moment.
    if (!(error instanceof NameTakenError || isDuplicateKey(error))) throw error
  }
}
