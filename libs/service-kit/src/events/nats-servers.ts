/**
 * What the NATS client is told of `nats://user:password@host:4222,…`. It reads no credentials in addresses, and takes `tls://` for
 * `nats://`: it would send the password to a server, or to somebody in between, that offers no TLS.
 */
export function natsServers(addresses: string): { servers: string[]; user?: string; pass?: string; tls?: object } {
  const servers = addresses.split(',').map((address) => address.trim())
  const secured = servers.some((address) => address.startsWith('tls://')) ? { tls: {} } : {}
  const known = servers.find((address) => address.includes('@'))
  if (!known) return { servers, ...secured }
  const { username, password } = new URL(known)
  return {
    servers: servers.map((address) => address.replace(/(^|\/\/)[^/@]*@/, '$1')),
    ...secured,
    user: decodeURIComponent(username),
    pass: decodeURIComponent(password),
  }
}
