import { accessTokenOf, queryOf, readRequest } from '@im/service-kit'
import type { FastifyRequest } from 'fastify'

const parameter = 'access_token='
const plainToken = /^[\w.-]+$/

/** The token of a query in which nothing is encoded: what apps send, and found without parsing. */
function plainQueryToken(query: string): string | undefined {
  if (query.includes('%')) return undefined
  const at = query.indexOf(parameter)
  if (at < 0 || (at > 0 && query[at - 1] !== '&')) return undefined
  const start = at + parameter.length
  const end = query.indexOf('&', start)
  const token = end < 0 ? query.slice(start) : query.slice(start, end)
  return plainToken.test(token) ? token : undefined
}

/**
 * The token of a request: parameter in the query, then in the body, then the Authorization header (transport.md §5). The
 * body is parsed only when it may decide.
 */
export async function findAccessToken(request: FastifyRequest): Promise<string | undefined> {
  const query = queryOf(request.raw.url ?? '')
  const token = plainQueryToken(query)
  if (token) return token
  const { authorization } = request.headers
  const body = Buffer.isBuffer(request.body) && request.body.length ? request.body : undefined
  const bodyMayDecide = body && (!authorization || body.includes('access_token'))
  if (!bodyMayDecide && !query) return accessTokenOf(new Map(), authorization)
  return accessTokenOf(await readRequest(request), authorization)
}
