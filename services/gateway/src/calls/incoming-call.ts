import type { Caller, Endpoint, Language } from '@im/contracts'
import {
  firstText,
  isOneOf,
  languageOf,
  limitAddress,
  queryLanguage,
  queryOf,
  type RawParams,
  readRequest,
  serviceKeyHeader,
} from '@im/service-kit'
import type { FastifyRequest } from 'fastify'
import { clientAddress } from '../client-address.ts'
import type { AddressBudget } from '../limits/address-budget.ts'
import type { ShownToken } from './access-token.ts'
import { readBody } from './read-body.ts'

/** A refusal reads a body of up to this size (bytes) for the language of its text. */
const longestForLanguage = 16 * 1024

/** A request for an endpoint, and what is known of it so far. Its body is read once and its parameters are parsed once. */
export class IncomingCall {
  readonly endpoint: Endpoint
  readonly request: FastifyRequest
  readonly startedAt = performance.now()
  readonly ip: string
  /** What limits count the client as. */
  readonly address: string
  /** Query of the URL, without `?`. */
  readonly query: string
  /** Another service or the XMPP server: it shows the service key. */
  readonly isInternal: boolean
  /** Undefined until it is read, and where there is none. */
  body: Buffer | undefined
  token: ShownToken | undefined
  /** The owner of the token, when it is live. */
  caller: Caller | undefined
  #reading: Promise<void> | undefined
  #release: (() => void) | undefined
  #isParsed = false

  constructor(endpoint: Endpoint, request: FastifyRequest, serviceKeys: readonly string[]) {
    this.endpoint = endpoint
    this.request = request
    this.ip = clientAddress(request)
    this.address = limitAddress(this.ip)
    this.query = queryOf(request.raw.url ?? '')
    this.isInternal = isOneOf(serviceKeys, request.headers[serviceKeyHeader])
  }

  get hasUnreadBody(): boolean {
    return this.request.body !== undefined && this.#reading === undefined
  }

  /** Rejects with RequestTooLarge, or when there is no memory left for it. */
  async readBody(maxBytes: number, memory: AddressBudget): Promise<void> {
    if (this.request.body === undefined) return
    this.#reading ??= readBody(this.request.raw, { maxBytes, memory, address: this.address }).then(
      ({ body, release }) => {
        this.body = body
        this.request.body = body
        this.#release = release
      },
    )
    return this.#reading
  }

  /** Query and body together. Rejects with InvalidParams when the body can't be parsed. */
  params(): Promise<RawParams> {
    this.#isParsed = true
    return readRequest(this.request, this.endpoint.body)
  }

  async language(): Promise<Language> {
    const isCheap = this.#isParsed || (this.body?.length ?? 0) <= longestForLanguage
    const params = isCheap ? await this.params().catch(() => undefined) : undefined
    return params ? languageOf(firstText(params, 'language')) : queryLanguage(this.request.raw.url ?? '')
  }

  /** The call is over: its body is no longer in memory. */
  end(): void {
    this.#release?.()
    this.#release = undefined
  }
}
