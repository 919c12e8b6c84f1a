import type { Deps } from '../deps.ts'
import { seal } from '../secrets/sealed-text.ts'

/** How a pay password is stored (crypto.md §1): Argon2id, and sealed beside it only when PAY_MAC_KEY is set. */
export async function sealPayPassword(
  { hasher, config }: Pick<Deps, 'hasher' | 'config'>,
  payPasswordMd5: string,
): Promise<{ hash: string; sealed?: string }> {
  const hash = await hasher.hash(payPasswordMd5)
  return config.payMacKey ? { hash, sealed: seal(Buffer.from(config.payMacKey, 'hex'), payPasswordMd5) } : { hash }
}
