import type { Redis } from '@im/service-kit'

const script = `
local kept = redis.call('hget', KEYS[1], ARGV[1])
if not kept then return 0 end
if kept == ARGV[2] then
  if ARGV[4] == 'use' then redis.call('del', KEYS[1]) end
  return 1
end
local wrong = redis.call('hincrby', KEYS[1], 'tries', 1)
if tonumber(ARGV[3]) > 0 and wrong >= tonumber(ARGV[3]) then redis.call('del', KEYS[1]) end
return 0`

/** Wrong answers after which a code is void (transport.md §8). */
export const codeTries = 5
/** LIMIT_FACTOR does not allow more tries than this. */
export const mostCodeTries = 10

interface Kept {
  key: string
  field: string
}

/** Returns true to one caller who gives what is kept in `field`. `maxTries` wrong answers void it; 0 means no limit. */
export const redeemOnce = (redis: Redis, kept: Kept, answer: string, maxTries: number): Promise<boolean> =>
  compare(redis, kept, answer, maxTries, 'use')

/** The same for a right answer that is not used up yet. A wrong one counts as a try. */
export const isRight = (redis: Redis, kept: Kept, answer: string, maxTries: number): Promise<boolean> =>
  compare(redis, kept, answer, maxTries, 'look')

async function compare(
  redis: Redis,
  { key, field }: Kept,
  answer: string,
  maxTries: number,
  what: 'use' | 'look',
): Promise<boolean> {
  return (await redis.eval(script, 1, key, field, answer, maxTries, what)) === 1
}
