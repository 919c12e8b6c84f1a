import { type LookupAddress, lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Whether an address is on the open internet: not this machine, not the network around it. */
export const isPublicAddress = (address: string): boolean =>
  ipaddr.isValid(address) && ipaddr.process(address).range() === 'unicast'

/** Whether a host of an address that a user gave may be connected to. Names are judged when they are looked up. */
export const isAllowedHost = (hostname: string): boolean => {
  const host = hostname.replace(/^\[|\]$/g, '')
  return !ipaddr.isValid(host) || isPublicAddress(host)
}

/** Looks a name up and gives only public addresses, at the moment of the connection, so that no later answer can differ. */
export const lookUpPublic: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, found) => {
    if (error) return callback(error, '', 0)
    const allowed = (found as LookupAddress[]).filter(({ address }) => isPublicAddress(address))
    const [first] = allowed
    if (!first) return callback(new Error('the name leads to no public address'), '', 0)
    return options.all ? callback(null, allowed) : callback(null, first.address, first.family)
  })
}
