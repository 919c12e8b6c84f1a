import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { rowOf } from '../follows/follow.ts'
import { changeKnown, rulesOfBoth } from '../people/friend-rules.ts'
import { changePair } from '../relations/change-pairs.ts'
import type { Relation } from '../relations/pair.ts'

/** What only the owner of a row sees and changes. */
export type OwnFields = Partial<
  Pick<
    Relation,
    | 'remarkName'
    | 'describe'
    | 'chatRecordTimeOut'
    | 'offlineNoPushMsg'
    | 'isOpenSnapchat'
    | 'isOpenTopChat'
    | 'openTopChatTime'
  >
>

/** Changes the caller's row about a user, and returns it. Throws NotFriends when there is none. */
export async function changeOwnRow(deps: Deps, userId: number, toUserId: number, fields: OwnFields): Promise<Relation> {
  const { after } = await changeKnown(deps, { userId, toUserId, missing: 'NotFriends' }, () =>
    changePair(deps, userId, toUserId, ({ own, other }) => {
      if (!own) throw new ContractError('NotFriends')
      return { pair: { own: { ...own, ...fields }, other } }
    }),
  )
  return after.own as Relation
}

/** Notes a name and a description, also for a user whom the caller is nothing to. */
export async function noteAbout(deps: Deps, userId: number, toUserId: number, notes: OwnFields): Promise<void> {
  const { own: rules } = await rulesOfBoth(deps, userId, toUserId)
  const now = Math.floor(deps.now() / 1000)
  await changePair(deps, userId, toUserId, ({ own, other }) => ({
    pair: { own: { ...(own ?? rowOf(rules, toUserId, now)), ...notes }, other },
  }))
}
