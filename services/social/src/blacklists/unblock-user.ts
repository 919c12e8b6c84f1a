import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { changeKnown } from '../people/friend-rules.ts'
import { changePair } from '../relations/change-pairs.ts'
import type { Relation } from '../relations/pair.ts'

/** Ends that the caller blocks a user. Returns what is left of their row, also when that is nothing and the row is gone. */
export async function unblockUser(deps: Deps, userId: number, toUserId: number): Promise<Relation> {
  const { before, after } = await changeKnown(deps, { userId, toUserId, missing: 'NotOnBlacklist' }, () =>
    changePair(deps, userId, toUserId, ({ own, other }) => {
      if (!own?.blacklist) throw new ContractError('NotOnBlacklist')
      return { pair: { own: { ...own, blacklist: 0 }, other } }
    }),
  )
  return after.own ?? { ...(before.own as Relation), blacklist: 0 }
}
