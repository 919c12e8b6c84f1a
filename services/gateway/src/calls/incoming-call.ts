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

/** A refused call's body is parsed for the language of the answer only up to this size (bytes). */
const longestForLanguage = 16 * 1024

/** A request for an endpoint and what is known about it so far. Body and parameters are read once. */
export class IncomingCall {
  readonly endpoint: Endpoint
  readonly request: FastifyRequest
  readonly startedAt = performance.now()
  readonly ip: string
  /** The address under which limits count the client. */
  readonly address: string
  /** Query of the URL, without `?`. */
  readonly query: string
  /** The call has the service key: it comes from another service or the XMPP server. */
  readonly isInternal: boolean
  /** Undefined until it is read, or when there is none. */
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

  /** Rejects with RequestTooLarge, or when the memory for bodies is used up. */
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

  /** To be called when the call is over: its body no longer counts as memory. */
  end(): void {
    this.#release?.()
    this.#release = undefined
  }
}
