import {
  type Caller,
  ContractError,
  type Endpoint,
  type ErrorName,
  errors,
  type Params,
  type ResultOf,
} from '@im/contracts'
import { Agent, request } from 'undici'
import { callerHeader, serviceKeyHeader, signCaller } from './caller.ts'

/** Parameters as they are written: every one optional and as loose as the wire, so that tests can send bad input too. */
export type WireParams<E extends Endpoint> = { [K in keyof Params<E>]?: Params<E>[K] | string | number | undefined } & {
  language?: string
  access_token?: string
}

export interface CallOptions {
  /** Access token of the caller, through the gateway. */
  token?: string
  /** Signs the caller header directly, past the gateway (needs `callerKey`). */
  as?: Caller | number
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  signal?: AbortSignal
}

/** An answer of the API as it stands on the wire. */
export interface Envelope {
  resultCode: number
  currentTime: number
  resultMsg?: string
  detailMsg?: string
  data?: unknown
}

export interface ApiClient {
  /** The `data` of a success; a failure is thrown as the ContractError of the same name. */
  call<E extends Endpoint>(endpoint: E, params?: WireParams<E>, options?: CallOptions): Promise<ResultOf<E>>
  /** The whole envelope, failures included. */
  envelope<E extends Endpoint>(endpoint: E, params?: WireParams<E>, options?: CallOptions): Promise<Envelope>
  close(): Promise<void>
}

const nameOfCode = new Map(Object.entries(errors).map(([name, entry]) => [entry.code as number, name as ErrorName]))

/** A client of any endpoint, derived from its contract; sends forms, as the apps do. */
export function createClient(options: {
  baseUrl: string
  serviceKey?: string
  callerKey?: string
  token?: string
  /** Milliseconds a call may take; ServiceUnavailable beyond. */
  timeout?: number
}): ApiClient {
  const timeout = options.timeout ?? 5000
  const agent = new Agent({ connections: 64, keepAliveTimeout: 10_000, headersTimeout: timeout, bodyTimeout: timeout })

  async function envelope<E extends Endpoint>(
    endpoint: E,
    params: WireParams<E> = {} as WireParams<E>,
    calling: CallOptions = {},
  ): Promise<Envelope> {
    const headers: Record<string, string> = { ...calling.headers }
    const token = calling.token ?? options.token
    if (token) headers['authorization'] = `Bearer ${token}`
    if (options.serviceKey) headers[serviceKeyHeader] = options.serviceKey
    if (calling.as !== undefined && options.callerKey) {
      const caller =
        typeof calling.as === 'number'
          ? ({ userId: calling.as, sessionId: '', device: 'android', kind: 'user' } as const)
          : calling.as
      headers[callerHeader] = signCaller(options.callerKey, { caller, ip: '127.0.0.1', requestId: 'client' })
    }
    const form = formOf(params)
    const method = calling.method ?? 'POST'
    const url = options.baseUrl + endpoint.path + (method === 'GET' && form ? `?${form}` : '')
    if (method === 'POST') headers['content-type'] = 'application/x-www-form-urlencoded'
    try {
      const answer = await request(url, {
        method,
        headers,
        ...(method === 'POST' ? { body: form } : {}),
        dispatcher: agent,
        signal: calling.signal,
      })
      return (await answer.body.json()) as Envelope
    } catch (cause) {
      throw new ContractError('ServiceUnavailable', { detail: `${endpoint.service} does not answer`, cause })
    }
  }

  return {
    envelope,
    async call(endpoint, params, calling) {
      const answer = await envelope(endpoint, params, calling)
      if (answer.resultCode === 1) return answer.data as never
      throw new ContractError(nameOfCode.get(answer.resultCode) ?? 'InternalError', {
        detail: answer.detailMsg,
        text: { zh: answer.resultMsg ?? '', en: answer.resultMsg ?? '' },
      })
    },
    close: () => agent.close(),
  }
}

function formOf(params: Record<string, unknown>): string {
  const form = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined) continue
    form.append(name, typeof value === 'object' ? JSON.stringify(value) : String(value))
  }
  return form.toString()
}
