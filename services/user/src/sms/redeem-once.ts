import type { Redis } from '@im/service-kit'

const script = `
local kept = redis.call('hget', KEYS[1], ARGV[1])
if not kept then return 0 end
if kept == ARGV[2] then redis.call('del', KEYS[1]) return 1 end
local wrong = redis.call('hincrby', KEYS[1], 'tries', 1)
if tonumber(ARGV[3]) > 0 and wrong >= tonumber(ARGV[3]) then redis.call('del', KEYS[1]) end
return 0`

/** Wrong answers after which a code is void (transport.md §8). */
export const codeTries = 5
/** LIMIT_FACTOR does not allow more tries than this. */
export const mostCodeTries = 10

/** Returns true to one caller who gives what is kept in `field`. `maxTries` wrong answers void it; 0 means no limit. */
export async function redeemOnce(
  redis: Redis,
  kept: { key: string; field: string },
  answer: string,
  maxTries: number,
): Promise<boolean> {
  return (await redis.eval(script, 1, kept.key, kept.field, answer, maxTries)) === 1
}
