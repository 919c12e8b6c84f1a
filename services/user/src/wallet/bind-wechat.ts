import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'

/** Binds the WeChat account that a login code stands for. Apps that got no answer send a code again, which WeChat refuses then. */
export async function bindWeChat(
  { payments, openids, outbox, log }: Pick<Deps, 'payments' | 'openids' | 'outbox' | 'log'>,
  userId: number,
  code: string,
): Promise<string> {
  if (!payments.openids) throw new ContractError('FeatureDisabled')
  try {
    const openid = await payments.openids.openidOf(code, userId)
    await outbox.commit(async (change) => openids.bind(openid, userId, code, change))
    return openid
  } catch (error) {
    if (error instanceof ContractError && error.errorName === 'WxCodeInvalid') {
      const bound = await openids.boundWith(userId, code)
      if (bound) return bound
      throw error
    }
    if (error instanceof ContractError) throw error
    log.warn({ err: error }, 'WeChat did not say whose a login code is')
    throw new ContractError('ServiceUnavailable', { cause: error })
  }
}
