/** What the NATS client is told of `nats://user:password@host:4222,…`: it does not read credentials in addresses. */
export function natsServers(addresses: string): { servers: string[]; user?: string; pass?: string } {
  const servers = addresses.split(',').map((address) => address.trim())
  const known = servers.find((address) => address.includes('@'))
  if (!known) return { servers }
  const { username, password } = new URL(known)
  return {
    servers: servers.map((address) => address.replace(/(^|\/\/)[^/@]*@/, '$1')),
    user: decodeURIComponent(username),
    pass: decodeURIComponent(password),
  }
}
