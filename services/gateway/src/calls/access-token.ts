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
 * cookie of our own pages (transport.md §5). Query and body are parsed only when they may name the parameter; a body that can't
 * be parsed holds no token.
 */
export async function findToken(call: IncomingCall): Promise<ShownToken | undefined> {
  const { endpoint, request } = call
  const { authorization, cookie } = request.headers
  const params = (await paramsOfBody(call)) ?? (await paramsOfQuery(call))
  const text = accessTokenOf(params, authorization) ?? (await tokenUnderEncodedName(call))
  if (text) return { text, byCookie: false }
  const ofCookie = endpoint.site && cookieOf(cookie, sessionCookieName(endpoint.site))
  return ofCookie ? { text: ofCookie, byCookie: true } : undefined
}

/** Query and body together, when the token may be in the body. */
async function paramsOfBody(call: IncomingCall): Promise<RawParams | undefined> {
  return call.body?.includes(parameter) ? call.params().catch(() => undefined) : undefined
}

/** The name of the parameter may be encoded, too. Only a call that shows no other token is parsed for that. */
async function tokenUnderEncodedName(call: IncomingCall): Promise<string | undefined> {
  if (!call.body?.includes('%') && !call.body?.includes('\\u')) return undefined
  const params = await call.params().catch(() => undefined)
  return params && accessTokenOf(params, undefined)
}

async function paramsOfQuery({ query }: IncomingCall): Promise<RawParams> {
  const none: RawParams = new Map()
  return query.includes('%') || query.includes(parameter)
    ? readParams(query, undefined, undefined).catch(() => none)
    : none
}
