import {
  type CallerClaims,
  callerHeader,
  currentTraceParent,
  serviceKeyHeader,
  signCaller,
  timeoutHeader,
  traceHeader,
} from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { IncomingCall } from './incoming-call.ts'

/** Headers that every service gets. All others are dropped unless the endpoint names them, so `x-im-*` can't be forged. */
const usualHeaders = [
  'accept',
  'accept-language',
  'authorization',
  'content-type',
  'cookie',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'origin',
  'range',
  'referer',
  'user-agent',
  'x-csrf-token',
  'x-requested-with',
]

/** The headers that the service gets. The caller header says who calls and is signed by the gateway. */
export function serviceHeaders({ config }: Deps, call: IncomingCall, url: string): Record<string, string> {
  const { request, endpoint } = call
  const headers: Record<string, string> = {
    [callerHeader]: signCaller(config.callerKeys, claimsOf(call), { method: request.method, url }),
    [timeoutHeader]: String(endpoint.timeoutMs ?? config.serviceTimeoutMs),
    'x-request-id': request.id,
  }
  const traceParent = currentTraceParent()
  if (traceParent) headers[traceHeader] = traceParent
  for (const name of usualHeaders) copy(request.headers, headers, name)
  for (const name of endpoint.headers ?? []) copy(request.headers, headers, name)
  if (call.isInternal) copy(request.headers, headers, serviceKeyHeader)
  return headers
}

function claimsOf({ request, ip, caller, token }: IncomingCall): CallerClaims {
  const { id: requestId, protocol: proto, host } = request
  const claims: CallerClaims = { ip, requestId, proto, host }
  return caller && token ? { ...claims, caller, token: token.text, byCookie: token.byCookie } : claims
}

function copy(from: NodeJS.Dict<string | string[]>, to: Record<string, string>, name: string): void {
  const value = from[name]
  if (typeof value === 'string') to[name] = value
}
