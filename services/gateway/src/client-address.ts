import { isIP } from 'node:net'

interface Received {
  /** The address as Fastify reads it, which knows the trusted proxies. */
  ip: string
  raw: { socket: { remoteAddress?: string | undefined } }
}

const mapped = '::ffff:'

/** The address of the client. IPv4 that a dual-stack socket shows as IPv6 is written as IPv4. */
export function clientAddress({ ip, raw }: Received): string {
  // A proxy may have sent anything.
  const address = isIP(ip) ? ip : (raw.socket.remoteAddress ?? '0.0.0.0')
  return address.startsWith(mapped) && isIP(address.slice(mapped.length)) === 4 ? address.slice(mapped.length) : address
}
