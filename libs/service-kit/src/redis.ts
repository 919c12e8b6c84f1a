import { Redis } from 'ioredis'

export type { Redis }

/**
 * One connection with the namespace as key prefix. A command waits for a reconnection at most `commandTimeout` ms, so that
 * a request never hangs on a cache that is away.
 */
export async function connectRedis(options: {
  url: string
  namespace: string
  commandTimeout?: number
}): Promise<Redis> {
  const redis = new Redis(options.url, {
    keyPrefix: `${options.namespace}:`,
    lazyConnect: true,
    maxRetriesPerRequest: 1,
    commandTimeout: options.commandTimeout ?? 2000,
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
