import {
  type Caller,
  ContractError,
  type Endpoint,
  type ErrorName,
  errors,
  type Method,
  type Params,
  type ResultOf,
} from '@im/contracts'
import { Agent, request } from 'undici'
import { callerHeader, serviceKeyHeader, signCaller } from '../http/caller.ts'

/** Parameters as they are written: every one optional and as loose as the wire, so that tests can send bad input too. */
export type WireParams<E extends Endpoint> = { [K in keyof Params<E>]?: Params<E>[K] | string | number | undefined } & {
  language?: string
  access_token?: string
}

export interface TestCallOptions {
  /** Access token of the caller, through the gateway. */
  token?: string
  /** Signs the caller header, past the gateway (needs `callerKey`). */
  as?: Caller | number
  /** The client address in the signed header. */
  ip?: string
  method?: Method
  headers?: Record<string, string>
  signal?: AbortSignal
}

/** An answer of the API as clients get it. */
export interface Envelope {
  resultCode: number
  currentTime: number
  resultMsg?: string
  detailMsg?: string
  data?: unknown
}

export interface TestClient {
  /** The `data` of a success; a failure is thrown as the ContractError of the same name. */
  call<E extends Endpoint>(endpoint: E, params?: WireParams<E>, options?: TestCallOptions): Promise<ResultOf<E>>
  /** The whole envelope, failures included. */
  envelope<E extends Endpoint>(endpoint: E, params?: WireParams<E>, options?: TestCallOptions): Promise<Envelope>
  close(): Promise<void>
}

const nameOfCode = new Map(Object.entries(errors).map(([name, { code }]) => [code as number, name as ErrorName]))

/** A client for tests of any endpoint, derived from its contract; sends forms, as the apps do. */
export function createTestClient(options: {
  baseUrl: string
  serviceKey?: string | undefined
  callerKey?: string | undefined
  token?: string
  /** Milliseconds a call may take; ServiceUnavailable beyond. */
  timeout?: number
}): TestClient {
  const { baseUrl, serviceKey, callerKey, timeout = 5000 } = options
  const agent = new Agent({ connections: 64, keepAliveTimeout: 10_000, headersTimeout: timeout, bodyTimeout: timeout })

  function headersOf({ token = options.token, as, ip, headers }: TestCallOptions, method: Method, url: string) {
    const all: Record<string, string> = { ...headers }
    if (token) all['authorization'] = `Bearer ${token}`
    if (serviceKey) all[serviceKeyHeader] = serviceKey
    if (callerKey && (as !== undefined || ip !== undefined)) {
      const caller =
        typeof as === 'number' ? ({ userId: as, sessionId: '', device: 'android', kind: 'user' } as const) : as
      const seen = { ip: ip ?? '127.0.0.1', requestId: 'test', proto: 'http', host: 'im.test' } as const
      all[callerHeader] = signCaller([callerKey], caller ? { ...seen, caller } : seen, { method, url })
    }
    return all
  }

  async function envelope<E extends Endpoint>(
    endpoint: E,
    params: WireParams<E> = {} as WireParams<E>,
    calling: TestCallOptions = {},
  ): Promise<Envelope> {
    const form = formOf(params)
    const method = calling.method ?? (endpoint.methods?.includes('POST') === false ? 'GET' : 'POST')
    const url = endpoint.path + (method === 'GET' && form ? `?${form}` : '')
    const headers = headersOf(calling, method, url)
    if (method === 'POST') headers['content-type'] ??= 'application/x-www-form-urlencoded'
    try {
      const answer = await request(baseUrl + url, {
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
