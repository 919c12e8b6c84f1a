import type { LookupFunction } from 'node:net'
import { rootCertificates } from 'node:tls'
import { Agent, type Dispatcher, request } from 'undici'
import { type Meaning, outcome, Refusal, tokenOutcome } from './outcomes.ts'
import type { Outcome } from './provider.ts'

/** Longer answers are not read: no provider needs more. */
const longestAnswer = 64 * 1024
/** Nobody waits longer (ms) because a server asks for it. */
const longestWait = 3_600_000

export interface AgentOptions {
  /** Certificates (PEM) that are trusted beside those of the system. */
  ca: string | undefined
  connections: number
  timeoutMs: number
  /** Finds the addresses of a name. */
  lookup?: LookupFunction
}

/** Keeps connections. An answer is at most 64 KiB. */
export function boundedAgent({ ca, connections, timeoutMs: timeout, lookup }: AgentOptions): Agent {
  return new Agent({
    connections,
    maxResponseSize: longestAnswer,
    connect: { timeout, ...(ca ? { ca: [...rootCertificates, ca] } : {}), ...(lookup ? { lookup } : {}) },
  })
}

export interface HttpOptions extends AgentOptions {
  baseUrl: string
}

export interface HttpCall {
  headers?: Record<string, string>
  body: string | Uint8Array
  signal?: AbortSignal
}

export interface HttpAnswer {
  status: number
  headers: Dispatcher.ResponseData['headers']
  text: string
}

/**
 * Posts to one provider over kept connections. No redirects, an answer is at most 64 KiB, and each call has its time limit.
 * Rejects where there is no answer.
 */
export class HttpClient {
  readonly #options: HttpOptions
  readonly #agent: Agent

  constructor(options: HttpOptions) {
    this.#options = options
    this.#agent = boundedAgent(options)
  }

  /** The whole address that a path gets: some signatures are over it. */
  urlOf(path: string): string {
    return `${this.#options.baseUrl.replace(/\/+$/, '')}${path}`
  }

  async post(path: string, { headers, body, signal }: HttpCall): Promise<HttpAnswer> {
    const answer = await request(this.urlOf(path), {
      method: 'POST',
      dispatcher: this.#agent,
      headers,
      body,
      signal: AbortSignal.any([...(signal ? [signal] : []), AbortSignal.timeout(this.#options.timeoutMs)]),
    })
    return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() }
  }

  postForm(path: string, { body, headers, signal }: HttpCall & { body: string }): Promise<HttpAnswer> {
    const contentType = 'application/x-www-form-urlencoded;charset=utf-8'
    return this.post(path, { headers: { 'content-type': contentType, ...headers }, body, signal })
  }

  postJson(path: string, call: Omit<HttpCall, 'body'> & { body: object }) {
    const headers = { 'content-type': 'application/json;charset=utf-8', ...call.headers }
    return this.post(path, { headers, body: JSON.stringify(call.body), signal: call.signal })
  }

  close(): Promise<void> {
    return this.#agent.close()
  }
}

/** JSON without what is null in it: some vendors leave out what they have nothing to say of, others write null. */
const parseJson = (text: string): unknown => JSON.parse(text, (_, value) => value ?? undefined)

/** The JSON object of an answer. Throws a Refusal where it is something else, such as the page of a gateway in between. */
export function jsonOf<T extends object>(answer: HttpAnswer): Partial<T> {
  try {
    const value = parseJson(answer.text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Partial<T>
  } catch {}
  throw new Refusal(statusOutcome(answer) ?? outcome('retry', `HTTP ${answer.status} without JSON`))
}

/** What the HTTP status alone says: 429 and 5xx, with their Retry-After. */
export function statusOutcome({ status, headers }: Pick<HttpAnswer, 'status' | 'headers'>) {
  const retryAfterMs = retryAfterOf(headers['retry-after'])
  if (status === 429) return outcome('slow', 'HTTP 429', { retryAfterMs })
  if (status >= 500) return outcome('retry', `HTTP ${status}`, { retryAfterMs })
  return undefined
}

/**
 * What an answer says of `targets` that it speaks of together: by its code, as `meaningOf` reads it, else by its HTTP status. A
 * code that nobody knows is our fault.
 */
export function codeOutcome(
  answer: HttpAnswer,
  code: string | number | undefined,
  meaningOf: (code: string | number | undefined) => Meaning | undefined,
  targets = 1,
): Outcome {
  const meaning = meaningOf(code)
  if (meaning === 'dead' || meaning === 'paused') return tokenOutcome(meaning, String(code), targets)
  if (meaning) return outcome(meaning, String(code))
  return statusOutcome(answer) ?? outcome('bad', `HTTP ${answer.status} ${code ?? ''}`)
}

/** Milliseconds of a Retry-After header, which has seconds or a date; an hour at most, because no notification waits longer. */
export function retryAfterOf(header: string | string[] | undefined, now = Date.now()): number | undefined {
  const text = [header].flat()[0]?.trim()
  if (!text) return undefined
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now
  return Number.isNaN(ms) ? undefined : Math.min(longestWait, Math.max(0, ms))
}
