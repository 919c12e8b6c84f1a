import type { Language } from '@im/contracts'
import type { FastifyRequest } from 'fastify'
import { languageOf } from './envelope.ts'
import { firstText, type RawParams, readParams } from './raw-params.ts'

/** Language of a request whose parameters were not read. */
export function queryLanguage(url: string): Language {
  const at = url.indexOf('?')
  return languageOf(at < 0 ? undefined : (new URLSearchParams(url.slice(at + 1)).get('language') ?? undefined))
}

const rawBytes = /[\x80-\xff]/

/** The query of a URL. Node hands bytes beyond ASCII on as Latin-1; apps that do not encode them send UTF-8. */
export function queryOf(url: string): string {
  const at = url.indexOf('?')
  if (at < 0) return ''
  const query = url.slice(at + 1)
  return rawBytes.test(query) ? Buffer.from(query, 'latin1').toString('utf8') : query
}

/** Query and body of a request, in whatever form they came. */
export function readRequest(request: FastifyRequest): Promise<RawParams> {
  const url = request.raw.url ?? ''
  return readParams(
    queryOf(url),
    request.headers['content-type'],
    Buffer.isBuffer(request.body) ? request.body : undefined,
  )
}

/** The token of a request: parameter first, then the Authorization header (transport.md §5). */
export function accessTokenOf(params: RawParams, authorization: string | undefined): string | undefined {
  const parameter = firstText(params, 'access_token')
  if (parameter) return parameter.trim()
  return /^Bearer\s+(\S+)\s*$/i.exec(authorization ?? '')?.[1]
}
