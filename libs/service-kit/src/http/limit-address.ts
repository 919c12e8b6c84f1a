import ipaddr from 'ipaddr.js'

/** The address that limits count: for IPv6 the /64, because one client has all of it. IPv4 mapped to IPv6 counts as IPv4. */
export function limitAddress(address: string): string {
  if (!address.includes(':') || !ipaddr.IPv6.isValid(address)) return address
  const parsed = ipaddr.IPv6.parse(address)
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString()
  const parts = parsed.parts.slice(0, 4)
  return `${parts.map((part) => part.toString(16)).join(':')}::/64`
}
