import { ECDH } from 'node:crypto'
import { ContractError } from '@im/contracts'

/** Where a browser, or the distributor of UnifiedPush, takes messages, and the keys that they are encrypted for. */
export interface Subscription {
  endpoint: string
  keys: { p256dh: string; auth: string }
}

const longestEndpoint = 2048

/** Whether it is an uncompressed point of the curve and a secret, as RFC 8291 wants them. */
function isKeyPair(p256dh: string, auth: string): boolean {
  const point = Buffer.from(p256dh, 'base64url')
  if (point.length !== 65 || point[0] !== 4 || Buffer.from(auth, 'base64url').length !== 16) return false
  try {
    ECDH.convertKey(point, 'prime256v1')
    return true
  } catch {
    return false
  }
}

/**
 * The token of a Web Push registration: the same text for the same subscription. Throws InvalidParams for what can't be one.
 */
export function subscriptionToken(given: { endpoint: string; p256dh: string; auth: string }): string {
  const { endpoint, p256dh, auth } = given
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  // As it is called: what is no ASCII is encoded, and up to nine times as long.
  if (url?.protocol !== 'https:' || url.username || url.password || url.href.length > longestEndpoint)
    throw new ContractError('InvalidParams', { args: ['endpoint'] })
  if (!isKeyPair(p256dh, auth)) throw new ContractError('InvalidParams', { args: ['p256dh'] })
  return JSON.stringify({ endpoint: url.href, keys: { p256dh, auth } } satisfies Subscription)
}

export const readSubscription = (token: string): Subscription => JSON.parse(token) as Subscription
