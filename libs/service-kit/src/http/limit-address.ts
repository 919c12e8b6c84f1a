import ipaddr from 'ipaddr.js'

/** What limits count an address as: an IPv6 client has a whole /64 to choose from. IPv4 written in IPv6 is IPv4. */
export function limitAddress(address: string): string {
  if (!address.includes(':') || !ipaddr.IPv6.isValid(address)) return address
  const parsed = ipaddr.IPv6.parse(address)
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString()
  const parts = parsed.parts.slice(0, 4)
  return `${parts.map((part) => part.toString(16)).join(':')}::/64`
}
