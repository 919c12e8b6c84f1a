import { accessTokenOf, cookieOf, type RawParams, readParams, sessionCookieName } from '@im/service-kit'
import type { IncomingCall } from './incoming-call.ts'

/** A token as a client sent it, live or not. */
export interface ShownToken {
  text: string
  /** The token came in a cookie, which browsers send by themselves. */
  byCookie: boolean
}

const parameter = 'access_token'
const plainToken = /^[\w.-]+$/

/** The token of a query without percent-encoding, as apps send it. It is found without parsing. */
export function tokenOfQuery({ query }: IncomingCall): ShownToken | undefined {
  if (query.includes('%')) return undefined
  const at = query.indexOf(`${parameter}=`)
  if (at < 0 || (at > 0 && query[at - 1] !== '&')) return undefined
  const start = at + parameter.length + 1
  const end = query.indexOf('&', start)
  const text = end < 0 ? query.slice(start) : query.slice(start, end)
  return plainToken.test(text) ? { text, byCookie: false } : undefined
}

/**
 * The token of a call whose body is read: parameter in the query, then in the body, then the Authorization header, then the
 * cookie of our own pages (transport.md §5). The body is parsed only when it names the parameter.
 */
export async function findToken(call: IncomingCall): Promise<ShownToken | undefined> {
  const { endpoint, body, query } = call
  const { authorization, cookie } = call.request.headers
  const text = accessTokenOf(await paramsWithToken(call, body, query), authorization)
  if (text) return { text, byCookie: false }
  const ofCookie = endpoint.site && cookieOf(cookie, sessionCookieName(endpoint.site))
  return ofCookie ? { text: ofCookie, byCookie: true } : undefined
}

async function paramsWithToken(call: IncomingCall, body: Buffer | undefined, query: string): Promise<RawParams> {
  return body?.includes(parameter) ? call.params() : readParams(query, undefined, undefined)
}
