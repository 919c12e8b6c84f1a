import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import { endedSessionsHeader, outcomeHeader } from '@im/service-kit'

/** Headers that are of one connection only (RFC 9110 §7.6.1), or that the gateway writes itself. */
const notPassedOn = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-request-id',
  endedSessionsHeader,
  outcomeHeader,
])

/** Adds to `answer` what the client gets of the headers of a service. */
export function passAnswerHeaders(service: IncomingHttpHeaders, answer: OutgoingHttpHeaders): OutgoingHttpHeaders {
  for (const name in service)
    if (!notPassedOn.has(name) && !name.startsWith('access-control-')) answer[name] = service[name]
  return answer
}
