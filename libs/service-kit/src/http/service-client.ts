import {
  type Call,
  ContractError,
  type Endpoint,
  type ErrorName,
  errors,
  type Params,
  type ResultOf,
} from '@im/contracts'
import { Pool, errors as undiciErrors } from 'undici'
import { currentRequestId, tellEndedSessions } from '../current-call.ts'
import { currentTraceParent, traceHeader } from '../tracing.ts'
import { endedSessionsHeader, endedSessionsOf, serviceKeyHeader, timeoutHeader } from './caller.ts'
import { idleConnectionMs } from './drain.ts'

/** Calls of one service to another. */
export interface ServiceClient {
  /**
   * Returns the `data` of the answer. An error that the endpoint declares is thrown as ContractError. Any other failure is not
   * passed on to clients: it is ServiceUnavailable when the other service is away, UnknownEndpointError when it does not know the
   * endpoint, else an ordinary error. `waiting` is the
   * call that this one is made for; its deadline and signal apply here too.
   */
  call<E extends Endpoint>(
    endpoint: E,
    params: Params<E>,
    waiting?: Partial<Pick<Call, 'deadline' | 'signal'>>,
  ): Promise<ResultOf<E>>
  close(): Promise<void>
}

/** The other service is of a build without this endpoint, as in the middle of an upgrade. */
export class UnknownEndpointError extends Error {
  override readonly name = 'UnknownEndpointError'
}

interface Answer {
  resultCode: number
  resultMsg?: string
  detailMsg?: string
  data?: unknown
}

const nameOfCode = new Map(Object.entries(errors).map(([name, { code }]) => [code as number, name as ErrorName]))
const transient: ReadonlySet<ErrorName | undefined> = new Set<ErrorName>(['ServiceUnavailable', 'RateLimited'])

/** Connections are closed after this time (ms), so that new replicas get their share of the calls. */
const connectionLifetimeMs = 60_000

/** A client of the endpoints of one service. */
export function createServiceClient(options: {
  baseUrl: string
  serviceKeys: readonly string[]
  /** Milliseconds a call may take, unless the caller waits for less. */
  timeoutMs: number
}): ServiceClient {
  const { timeoutMs, serviceKeys } = options
  const pool = new Pool(new URL(options.baseUrl).origin, {
    connections: 64,
    keepAliveTimeout: idleConnectionMs,
    keepAliveMaxTimeout: idleConnectionMs,
    clientTtl: connectionLifetimeMs,
  })

  async function send(endpoint: Endpoint, params: object, timeLeft: number, signal: AbortSignal): Promise<Answer> {
    const requestId = currentRequestId()
    const traceParent = currentTraceParent()
    const { statusCode, headers, body } = await pool.request({
      method: 'POST',
      path: endpoint.path,
      headers: {
        'content-type': 'application/json',
        [serviceKeyHeader]: serviceKeys[0] ?? '',
        [timeoutHeader]: String(timeLeft),
        ...(requestId ? { 'x-request-id': requestId } : {}),
        ...(traceParent ? { [traceHeader]: traceParent } : {}),
      },
      body: JSON.stringify(params),
      signal,
    })
    const ended = headers[endedSessionsHeader]
    if (ended) tellEndedSessions(endedSessionsOf(ended))
    if (statusCode === 200) return (await body.json()) as Answer
    await body.dump()
    throw new Error(`HTTP status ${statusCode}`)
  }

  return {
    async call(endpoint, params, waiting = {}) {
      const timeLeft = Math.min(timeoutMs, (waiting.deadline ?? Number.POSITIVE_INFINITY) - Date.now())
      if (timeLeft <= 0 || waiting.signal?.aborted) throw new ContractError('ServiceUnavailable')
      const timeout = AbortSignal.timeout(timeLeft)
      const signal = waiting.signal ? AbortSignal.any([timeout, waiting.signal]) : timeout
      const again = (error: unknown) => {
        if (!endpoint.safe || !isLostConnection(error)) throw error
        return send(endpoint, params as object, timeLeft, signal)
      }
      const answer = await send(endpoint, params as object, timeLeft, signal)
        .catch(again)
        .catch((cause: unknown) => {
          if (waiting.signal?.aborted) throw new ContractError('ServiceUnavailable')
          throw unavailable(endpoint, cause)
        })
      if (answer.resultCode === 1) return answer.data as never
      throw failureOf(endpoint, answer)
    },
    close: () => pool.close(),
  }
}

function failureOf(endpoint: Endpoint, { resultCode, resultMsg = '', detailMsg }: Answer): Error {
  const name = nameOfCode.get(resultCode)
  if (name && endpoint.errors?.includes(name))
    return new ContractError(name, { detail: detailMsg, text: { zh: resultMsg, en: resultMsg } })
  if (name === 'UnknownEndpoint') return new UnknownEndpointError(`${endpoint.service} does not know ${endpoint.path}`)
  const told = `${name ?? resultCode} (${detailMsg ?? resultMsg})`
  return transient.has(name)
    ? unavailable(endpoint, new Error(told))
    : new Error(`${endpoint.service} answered ${endpoint.path} with ${told}`)
}

const unavailable = ({ service, path }: Endpoint, cause: unknown) =>
  new ContractError('ServiceUnavailable', { cause: new Error(`${service} does not answer ${path}`, { cause }) })

/** The other side closed a kept connection just as it was used again, or its process has just ended. */
function isLostConnection(error: unknown): boolean {
  const { code } = error as { code?: string }
  return (
    error instanceof undiciErrors.SocketError || code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNREFUSED'
  )
}
