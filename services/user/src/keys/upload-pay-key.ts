import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { keepOf } from '../forget-user.ts'
import { isPayKeyMac } from '../secrets/key-macs.ts'
import { unseal } from '../secrets/sealed-text.ts'

/** Stores the key pair of payments. The mac shows that the app knows the pay password. */
export async function uploadPayKey(
  deps: Deps,
  userId: number,
  { publicKey, privateKey, mac }: { publicKey: string; privateKey: string; mac: string },
): Promise<void> {
  const { users, keys, config, now } = deps
  if (!config.payMacKey) throw new ContractError('FeatureDisabled')
  const user = await users.byId(userId)
  if (!user) throw new ContractError('TokenInvalid')
  if (!user.payPassword) throw new ContractError('PayPasswordNotSet')
  const { sealed } = user.payPassword
  const passwordMd5 = sealed && unseal(Buffer.from(config.payMacKey, 'hex'), sealed)
  // It was set under another key or none, so nobody can check the mac until the password is set again.
  if (!passwordMd5) throw new ContractError('FeatureDisabled', { detail: 'the pay password must be set again' })
  if (!isPayKeyMac(mac, { privateKey, publicKey }, passwordMd5)) throw new ContractError('MacInvalid')
  await keepOf(deps, userId, () => keys.setPay(userId, { publicKey, privateKey }, Math.floor(now() / 1000)))
}
