import { Redis } from 'ioredis'

export type { Redis }

/** A cache that does not answer within this is away, and nothing waits for it. */
const commandTimeoutMs = 500

/** One connection with the namespace as key prefix. */
export async function connectRedis(options: { url: string; namespace: string }): Promise<Redis> {
  const redis = new Redis(options.url, {
    keyPrefix: `${options.namespace}:`,
    lazyConnect: true,
    maxRetriesPerRequest: 1,
    commandTimeout: commandTimeoutMs,
    enableAutoPipelining: true,
    retryStrategy: (attempt) => Math.min(attempt * 50, 1000),
    // After a failover the old primary is a replica that refuses writes: connect anew, to the one the name points to now.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  })
  // Without a listener ioredis prints every failed attempt; readiness and the failed commands tell it better.
  redis.on('error', () => {})
  await redis.connect().catch((error) => {
    redis.disconnect()
    throw error
  })
  return redis
}
