import { randomBytes } from 'node:crypto'
import { type Caller, ContractError } from '@im/contracts'
import { internalRelations, pairOf } from '@im/contracts/social'
import type { Deps } from '../deps.ts'
import { findPeople } from '../people/find-people.ts'
import type { ProviderName } from '../providers/provider.ts'
import { isPushedType, textOfType } from '../pushes/notification-text.ts'
import { newPush } from '../pushes/push-document.ts'
import type { GivenBody } from './message-body.ts'

type NotifyDeps = Pick<Deps, 'people' | 'user' | 'social' | 'tokens' | 'pushes' | 'pushWorker' | 'channels' | 'now'>

/** Characters (UTF-16 units) of a content that the queue keeps: no notification shows more than 50. */
const longestKept = 200

export interface Notice {
  from: number
  to: number
  body: Omit<GivenBody, 'fields'>
  /** When it was written (seconds); 0: now. */
  ts?: number
  only?: ProviderName
}

/**
 * Pushes one notification by the rules of every other one. Throws UserNotFound, PushFailed when the user has no device that
 * could be told, FeatureDisabled when the only provider is not configured.
 */
export async function notifyUser(deps: NotifyDeps, { from, to, body, ts = 0, only }: Notice): Promise<void> {
  const { tokens, pushes, pushWorker, channels, now } = deps
  if (only && !channels.of(only).isConfigured) throw new ContractError('FeatureDisabled')
  const people = await findPeople(deps, [from, to])
  if (!people.has(from) || !people.has(to)) throw new ContractError('UserNotFound')
  const devices = (await tokens.of([to])).filter(({ provider }) => !only || provider === only)
  if (!devices.length) throw new ContractError('PushFailed')
  const { type: contentType, isEncrypt, isReadDel, content } = body
  if (!isPushedType(contentType)) return
  const at = now()
  const writtenAt = ts ? Math.min(ts * 1000, at) : at
  const messageId = body.messageId ?? randomBytes(16).toString('hex')
  const push = newPush(
    {
      ...{ messageId, conversation: `u:${pairOf(from, to)}`, from, to, contentType, isEncrypt, isReadDel },
      ...{ timeSend: Math.floor(writtenAt / 1000), arrivedAt: writtenAt },
      text: isEncrypt || isReadDel ? '' : (textOfType(contentType) ?? content.slice(0, longestKept).toWellFormed()),
      ...(only ? { only } : {}),
    },
    at,
  )
  await pushes.add([push])
  pushWorker.wake(at)
}

/** A plain user may push only in their own name, and only to a friend. */
export async function demandMayNotify(
  { social }: Pick<Deps, 'social'>,
  { caller, isInternal }: { caller: Caller | undefined; isInternal: boolean },
  from: number,
  to: number,
): Promise<void> {
  if (isInternal || caller?.kind === 'console') return
  if (caller?.userId !== from) throw new ContractError('PermissionDenied', { detail: 'from' })
  const { standings } = await social.call(internalRelations.getStandings, { pairs: [pairOf(from, to)] })
  const { low, high } = standings[0] ?? {}
  const isFriend = [low, high].every((side) => side?.status === 2 && !side.hasBlocked)
  if (!isFriend) throw new ContractError('PermissionDenied', { detail: 'to' })
}
