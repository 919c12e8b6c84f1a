import type { RequestInfo, Site } from '@im/contracts'

export const sessionCookieName = (site: Site): string => `${site}_token`

/** The value of a cookie; undefined without one. */
export function cookieOf(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const at = pair.indexOf('=')
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim() || undefined
  }
  return undefined
}

/** `Set-Cookie` for a session of our own pages (transport.md §7). Without a token it removes the cookie. */
export function sessionCookie(site: Site, token: string | undefined, { proto }: Pick<RequestInfo, 'proto'>): string {
  const end = token === undefined ? '; Max-Age=0' : ''
  const secure = proto === 'https' ? '; Secure' : ''
  return `${sessionCookieName(site)}=${token ?? ''}; Path=/; HttpOnly; SameSite=Strict${secure}${end}`
}
