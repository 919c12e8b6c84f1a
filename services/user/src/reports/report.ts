import { type Call, ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { getUser } from '../users/find-user.ts'
import type { ReportTarget } from './reports-repository.ts'
import { roomExists } from './room-exists.ts'

/** Keeps a report for the console. Throws MissingParam, UserNotFound or RoomNotFound. */
export async function report(
  deps: Deps,
  userId: number,
  { toUserId, roomId, webUrl, reason }: ReportTarget & { reason: number },
  waiting: Pick<Call, 'deadline' | 'signal'>,
): Promise<void> {
  if (toUserId === undefined && roomId === undefined && webUrl === undefined)
    throw new ContractError('MissingParam', { detail: 'toUserId, roomId or webUrl' })
  if (toUserId !== undefined) await getUser(deps, toUserId)
  if (roomId !== undefined && !(await roomExists(deps, userId, roomId, waiting)))
    throw new ContractError('RoomNotFound')
  await deps.reports.add(userId, { toUserId, roomId, webUrl }, reason, deps.now())
}
