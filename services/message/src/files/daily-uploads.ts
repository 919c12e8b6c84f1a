import { uploadLimits } from '@im/contracts/message'
import { limitError } from '@im/service-kit'
import type { Deps } from '../deps.ts'

const day = 86_400

/** Counts a file for its user and day. Throws RateLimited beyond what one may upload, with the seconds until the next day begins. */
export async function chargeUpload(
  { rateCounters }: Pick<Deps, 'rateCounters'>,
  userId: number,
  bytes: number,
): Promise<void> {
  const { daily } = uploadLimits
  await rateCounters.demand('RateLimited', { key: `upload-files:${userId}`, max: daily.files, seconds: day })
  const limit = { key: `upload-bytes:${userId}`, max: daily.bytes, seconds: day }
  const granted = await rateCounters.takeBlock(limit, Math.max(1, bytes))
  if (typeof granted === 'object') throw limitError('RateLimited', granted.waitSeconds)
  if (granted < bytes) {
    const refusal = await rateCounters.takeBlock(limit, 1)
    throw limitError('RateLimited', typeof refusal === 'object' ? refusal.waitSeconds : day)
  }
}
