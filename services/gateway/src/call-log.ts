import { currentTraceId } from '@im/service-kit'
import fastJson from 'fast-json-stringify'
import type { FastifyRequest } from 'fastify'
import type { IncomingCall } from './calls/incoming-call.ts'
import { clientAddress } from './client-address.ts'

/** Characters of an unknown path that are logged. */
const longestPath = 200

/** Where lines are written. */
export interface LineOutput {
  write(line: string): unknown
  flushSync?(): void
}

interface Line {
  requestId: string
  traceId?: string | undefined
  path: string
  outcome: string
  userId?: number | undefined
  ip: string
  ms?: number
}

/** Lines look like those of the logger, which would take longer for each than the call itself: it searches them for secrets. */
const jsonOf = fastJson({
  type: 'object',
  properties: {
    level: { type: 'integer' },
    time: { type: 'integer' },
    service: { type: 'string' },
    requestId: { type: 'string' },
    traceId: { type: 'string' },
    path: { type: 'string' },
    outcome: { type: 'string' },
    userId: { type: 'integer' },
    ip: { type: 'string' },
    ms: { type: 'number' },
    msg: { type: 'string' },
  },
} as const)

/** Writes one line for each call, for reports of abuse: who called what, from where, and with which outcome. */
export class CallLog {
  readonly #output: LineOutput | undefined

  /** Nothing is written without an output. */
  constructor(output: LineOutput | undefined) {
    this.#output = output
  }

  write({ request, endpoint, ip, caller, startedAt }: IncomingCall, outcome: string): void {
    const ms = Math.round((performance.now() - startedAt) * 10) / 10
    const ids = { requestId: request.id, traceId: currentTraceId() }
    this.#write({ ...ids, path: endpoint.path, outcome, userId: caller?.userId, ip, ms })
  }

  /** A path that no endpoint has. Its query is left out, because it may hold a token. */
  writeUnknown(request: FastifyRequest): void {
    const path = request.raw.url?.split('?', 1)[0]?.slice(0, longestPath) ?? ''
    this.#write({ requestId: request.id, path, outcome: 'UnknownEndpoint', ip: clientAddress(request) })
  }

  async close(): Promise<void> {
    this.#output?.flushSync?.()
  }

  #write(line: Line): void {
    this.#output?.write(`${jsonOf({ level: 30, time: Date.now(), service: 'gateway', ...line, msg: 'call' })}\n`)
  }
}
