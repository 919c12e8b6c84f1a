import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { ConfigError } from '@im/service-kit'

/** IPv4 written in IPv6 (`::ffff:1.2.3.4`, what a dual-stack socket tells) is IPv4. */
function plain(address: string): string {
  const bare = address.trim()
  return bare.startsWith('::ffff:') && isIP(bare.slice(7)) === 4 ? bare.slice(7) : bare
}

function trustedNetworks(list: string): BlockList {
  const networks = new BlockList()
  for (const entry of list.split(',').map((part) => part.trim())) {
    if (!entry) continue
    const [address = '', prefix] = entry.split('/')
    const family = isIP(address)
    if (!family) throw new ConfigError([`TRUSTED_PROXIES: ${entry} is no address or network`])
    const bits = prefix === undefined ? (family === 6 ? 128 : 32) : Number(prefix)
    networks.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4')
  }
  return networks
}

/** Reads the client's address: the peer's, or while that is a trusted proxy's what it wrote in X-Forwarded-For. */
export function addressReader(trustedProxies: string | undefined): (request: IncomingMessage) => string {
  const peerOf = (request: IncomingMessage) => plain(request.socket.remoteAddress ?? '0.0.0.0')
  if (!trustedProxies) return peerOf
  const networks = trustedNetworks(trustedProxies)
  const isTrusted = (address: string) => networks.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  return (request) => {
    let client = peerOf(request)
    const hops = String(request.headers['x-forwarded-for'] ?? '').split(',')
    while (hops.length && isTrusted(client)) {
      const before = plain(hops.pop() ?? '')
      if (!isIP(before)) break
      client = before
    }
    return client
  }
}
