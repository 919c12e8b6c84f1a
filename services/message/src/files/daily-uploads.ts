import { uploadLimits } from '@im/contracts/message'
import { limitError } from '@im/service-kit'
import type { Deps } from '../deps.ts'

const day = 86_400

/** Counts a file for its user and day. Counts nothing and throws RateLimited, with the seconds until the next day begins, beyond a day's. */
export async function chargeUpload(
  { rateCounters }: Pick<Deps, 'rateCounters'>,
  userId: number,
  bytes: number,
): Promise<void> {
  const { daily } = uploadLimits
  const files = { key: `upload-files:${userId}`, max: daily.files, seconds: day }
  await rateCounters.demand('RateLimited', files)
  const counted = Math.max(1, bytes)
  const limit = { key: `upload-bytes:${userId}`, max: daily.bytes, seconds: day }
  const granted = await rateCounters.takeBlock(limit, counted, counted)
  if (typeof granted === 'number') return
  // A shorter one may still fit.
  await rateCounters.giveBack(files)
  throw limitError('RateLimited', granted.waitSeconds)
}
