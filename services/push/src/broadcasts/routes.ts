import { ContractError, type Handlers, pageOf } from '@im/contracts'
import { accountBroadcasts, consoleBroadcasts, internalBroadcasts } from '@im/contracts/push'
import { bindHandlers, skipOf } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { BroadcastState } from './broadcasts-repository.ts'
import { pushToAll } from './push-to-all.ts'
import { showBroadcast } from './show-broadcast.ts'

/** From which states an operation leads to which; in any other it changes nothing. */
const operations: Record<string, { from: BroadcastState[]; to: BroadcastState }> = {
  pause: { from: ['running'], to: 'paused' },
  resume: { from: ['paused'], to: 'running' },
  cancel: { from: ['running', 'paused'], to: 'canceled' },
}

async function list({ broadcasts }: Deps, from: number | undefined, page: { pageIndex: number; pageSize: number }) {
  const { rows, total } = await broadcasts.repository.page(from, skipOf(page), page.pageSize)
  return pageOf(rows.map(showBroadcast), total, page.pageIndex, page.pageSize)
}

async function change({ broadcasts, now }: Deps, from: number | undefined, { op, id }: { op: string; id: string }) {
  const operation = operations[op]
  if (!operation) throw new ContractError('InvalidParams', { detail: 'op' })
  const changed = await broadcasts.repository.move(id, from, operation.from, operation.to, now())
  if (!changed) throw new ContractError('BroadcastNotFound')
  return showBroadcast(changed)
}

const accountHandlers: Handlers<typeof accountBroadcasts, Deps> = {
  listAccountBroadcasts: (deps, { caller, params }) => list(deps, caller.userId, params),
  changeAccountBroadcast: (deps, { caller, params }) => change(deps, caller.userId, params),
}

const consoleHandlers: Handlers<typeof consoleBroadcasts, Deps> = {
  async pushToAll(deps, { params, note }) {
    const { id, count } = await pushToAll(deps, params.fromUserId, params.body)
    note({ broadcast: id, count })
    return { count }
  },
  listBroadcasts: (deps, { params }) => list(deps, undefined, params),
  changeBroadcast: (deps, { params }) => change(deps, undefined, params),
}

const internalHandlers: Handlers<typeof internalBroadcasts, Deps> = {
  async createBroadcast({ broadcasts, now }, { params }) {
    const { id, fromUserId: from, fromUserName, of, until, type, content, more } = params
    const body = { type, content, ...(more ? { more } : {}) }
    return showBroadcast(
      await broadcasts.repository.add(id, { from, fromUserName, audience: 'fans', until, body, of }, now()),
    )
  },
}

export const broadcastRoutes = [
  ...bindHandlers(accountBroadcasts, accountHandlers),
  ...bindHandlers(consoleBroadcasts, consoleHandlers),
  ...bindHandlers(internalBroadcasts, internalHandlers),
]
