import { type Call, ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { relationsTo } from '../relations/relations.ts'
import type { DatedKey } from './keys-repository.ts'

/** The DH public keys of the caller or of a friend, oldest first. */
export async function listDhKeys(
  deps: Deps,
  viewerId: number,
  userId: number,
  waiting: Pick<Call, 'deadline' | 'signal'>,
): Promise<DatedKey[]> {
  if (userId !== viewerId) {
    const relation = (await relationsTo(deps, viewerId, [userId], waiting)).get(userId)
    if (relation?.friends?.status !== 2) throw new ContractError('PermissionDenied', { detail: 'userId' })
  }
  return deps.keys.dhKeysOf(userId)
}
