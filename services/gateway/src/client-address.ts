import { isIP } from 'node:net'

interface Received {
  /** As Fastify reads it, behind trusted proxies too. */
  ip: string
  raw: { socket: { remoteAddress?: string | undefined } }
}

const mapped = '::ffff:'

/** Where a request comes from. IPv4 that a dual-stack socket writes as IPv6 is IPv4. */
export function clientAddress({ ip, raw }: Received): string {
  // A proxy may write anything.
  const address = isIP(ip) ? ip : (raw.socket.remoteAddress ?? '0.0.0.0')
  return address.startsWith(mapped) && isIP(address.slice(mapped.length)) === 4 ? address.slice(mapped.length) : address
}
