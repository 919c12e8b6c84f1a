import type { Resolver } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { networkInterfaces } from 'node:os'
import ipaddr from 'ipaddr.js'

/** All addresses of IPv6 that are given to anybody. Outside there are forms of addresses of IPv4, such as `::127.0.0.1`. */
const givenAway = ipaddr.IPv6.parseCIDR('2000::/3')

/** Those of this machine, which has public ones where nothing stands between it and the internet. */
const ownAddresses = () => Object.values(networkInterfaces()).flatMap((all) => all?.map(({ address }) => address) ?? [])

/** Whether an address is on the open internet: not this machine (`own`), not the network around it. */
export function isPublicAddress(text: string, own: readonly string[] = ownAddresses()): boolean {
  if (!ipaddr.isValid(text)) return false
  const address = ipaddr.process(text)
  if (address instanceof ipaddr.IPv6 && !address.match(givenAway)) return false
  if (address.range() !== 'unicast') return false
  const isOwn = (other: string) => ipaddr.isValid(other) && ipaddr.process(other).toString() === address.toString()
  return !own.some(isOwn)
}

/** Whether a host of an address that a user gave may be connected to. Names are judged when they are looked up. */
export const isAllowedHost = (hostname: string): boolean => {
  const host = hostname.replace(/^\[|\]$/g, '')
  return !ipaddr.isValid(host) || isPublicAddress(host)
}

/** How long (ms) the servers of a name have for their first answer, and how often they are asked; each time they have longer. */
export const userNameLookups = { timeout: 1000, tries: 2 }

/**
 * Looks up names that users gave, and gives only public addresses, at the moment of the connection, so that no later answer can
 * differ. It asks the name servers itself: in the system's own lookup, which does two at a time, names whose servers are silent
 * would hold up those of all other providers and of our own services.
 */
export const publicLookup = (resolver: Resolver): LookupFunction => {
  const ask = (family: 4 | 6, hostname: string) =>
    new Promise<{ address: string; family: number }[]>((resolve) => {
      const own = ownAddresses()
      const take = (error: unknown, addresses: string[] = []) =>
        resolve(error ? [] : addresses.flatMap((address) => (isPublicAddress(address, own) ? { address, family } : [])))
      if (family === 4) resolver.resolve4(hostname, take)
      else resolver.resolve6(hostname, take)
    })
  return (hostname, { all, family = 0 }, callback) => {
    const families = ([4, 6] as const).filter((each) => !family || String(family).endsWith(String(each)))
    void Promise.all(families.map((each) => ask(each, hostname))).then((answers) => {
      const allowed = answers.flat()
      const [first] = allowed
      if (!first) callback(new Error('the name leads to no public address'), '', 0)
      else if (all) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}
