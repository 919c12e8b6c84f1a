import { type Caller, ContractError } from '@im/contracts'
import { presencesChanged } from '@im/contracts/message'
import type { Deps } from '../deps.ts'

/**
 * Takes over a presence told by a foreign XMPP server (service key), or a user's hint about himself: what the XMPP server
 * says at the next change wins.
 */
export async function setOnlineState(
  { presences, outbox, now }: Deps,
  by: { caller: Caller | undefined; isInternal: boolean },
  userId: number,
  online: boolean,
): Promise<void> {
  if (!by.isInternal && !by.caller) throw new ContractError('TokenMissing')
  if (!by.isInternal && by.caller?.userId !== userId) throw new ContractError('PermissionDenied', { detail: 'userId' })
  await outbox.commit(async (change) => {
    const before = (await presences.of([userId], change.session)).get(userId)
    if ((before?.online ?? false) === online) return
    const at = now()
    await presences.save([{ _id: userId, online, at: before?.at ?? [], changedAt: at }], change.session)
    change.announce(presencesChanged, String(userId), { changes: [{ userId, online, at }] })
  })
}
