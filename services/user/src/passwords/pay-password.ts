import type { Deps } from '../deps.ts'
import { seal } from '../secrets/sealed-text.ts'

/** Prepares a pay password for storing (crypto.md §1): hashed and, only when PAY_MAC_KEY is set, also sealed. */
export async function sealPayPassword(
  { hasher, config }: Pick<Deps, 'hasher' | 'config'>,
  payPasswordMd5: string,
): Promise<{ hash: string; sealed?: string }> {
  const hash = await hasher.hash(payPasswordMd5)
  return config.payMacKey ? { hash, sealed: seal(Buffer.from(config.payMacKey, 'hex'), payPasswordMd5) } : { hash }
}
