import proxyAddr from '@fastify/proxy-addr'

/** Whether X-Forwarded-* headers from this address are believed. */
export type IsTrustedProxy = (address: string, hop: number) => boolean

/** Reads TRUSTED_PROXIES: addresses and networks separated by commas, or `none`. Throws for anything else. */
export function trustedProxies(list = 'none'): IsTrustedProxy {
  const entries = list.split(',').map((entry) => entry.trim())
  return list.trim() === 'none' ? () => false : proxyAddr.compile(entries.filter(Boolean))
}
