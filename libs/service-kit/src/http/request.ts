import type { EndpointSpec } from '@im/contracts'
import type { FastifyRequest } from 'fastify'
import { firstText, type RawParams, readParams, readStrictForm } from './raw-params.ts'

/** The query of a URL, percent-encoded as it came. Node refuses requests with other bytes in it. */
export function queryOf(url: string): string {
  const at = url.indexOf('?')
  return at < 0 ? '' : url.slice(at + 1)
}

const parsed = new WeakMap<FastifyRequest, Promise<RawParams>>()

/** The parameters of a request, from where its contract allows them. They are parsed once. */
export function readRequest(request: FastifyRequest, body?: EndpointSpec['body']): Promise<RawParams> {
  const known = parsed.get(request)
  if (known) return known
  const params = readAll(request, body)
  parsed.set(request, params)
  return params
}

async function readAll(request: FastifyRequest, kind: EndpointSpec['body']): Promise<RawParams> {
  const query = queryOf(request.raw.url ?? '')
  const type = request.headers['content-type']
  const body = Buffer.isBuffer(request.body) ? request.body : undefined
  const params =
    kind === 'form'
      ? readStrictForm(query, type, body)
      : await readParams(query, type, kind === undefined ? body : undefined)
  // Values of the path win over query and body.
  for (const [name, value] of Object.entries((request.params ?? {}) as Record<string, string>))
    params.set(name, [value])
  return params
}

/** The path of the contract, with the path parameters of the request filled in. */
export const pathOf = (path: string, params: unknown): string =>
  path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent((params as Record<string, string>)[name] ?? ''))

/** The token of a request: parameter first, then the Authorization header (transport.md §5). */
export function accessTokenOf(params: RawParams, authorization: string | undefined): string | undefined {
  const parameter = firstText(params, 'access_token')
  if (parameter) return parameter.trim()
  return /^Bearer\s+(\S+)\s*$/i.exec(authorization ?? '')?.[1]
}
