import { randomBytes } from 'node:crypto'
import { ContractError, type Params, type ResultOf } from '@im/contracts'
import { type accountReplies, mostReplies } from '@im/contracts/social'
import type { Deps } from '../deps.ts'

type ChangeReplies = (typeof accountReplies)['changeReplies']

export async function showReplies(
  { accountReplies }: Pick<Deps, 'accountReplies'>,
  account: number,
): Promise<ResultOf<ChangeReplies>> {
  const { welcome = '', replies } = await accountReplies.of(account)
  return { welcome, replies }
}

/** Sets what an account answers by itself: the welcome text, or one reply to words. Returns all. */
export async function changeReplies(
  deps: Pick<Deps, 'accountReplies'>,
  account: number,
  { op, id, words, match, content }: Params<ChangeReplies>,
): Promise<ResultOf<ChangeReplies>> {
  const { accountReplies } = deps
  if (op === 'welcome') await accountReplies.setWelcome(account, content)
  else if (op === 'delete') {
    if (id === undefined) throw new ContractError('MissingParam', { detail: 'id' })
    if (!(await accountReplies.remove(account, id))) throw new ContractError('ReplyNotFound')
  } else {
    if (!words?.length) throw new ContractError('MissingParam', { detail: 'words' })
    if (content === undefined) throw new ContractError('MissingParam', { detail: 'content' })
    const reply = { words, match, content }
    if (id === undefined) {
      if (!(await accountReplies.add(account, { id: randomBytes(8).toString('hex'), ...reply })))
        throw new ContractError('InvalidParams', { detail: `at most ${mostReplies} replies` })
    } else if (!(await accountReplies.replace(account, { id, ...reply }))) throw new ContractError('ReplyNotFound')
  }
  return await showReplies(deps, account)
}
