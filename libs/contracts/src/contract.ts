import type { Static, TObject, TSchema } from 'typebox'
import type { Auth, SessionKind } from './auth.ts'
import type { ErrorName, Language, LocalizedText } from './errors.ts'
import type { RawAnswer, WrittenRows } from './result-types.ts'

export const serviceNames = ['gateway', 'user', 'social', 'room', 'org', 'message', 'push'] as const
export type ServiceName = (typeof serviceNames)[number]

/** The default port of each service. */
export const servicePorts: Readonly<Record<ServiceName, number>> = {
  gateway: 8092,
  user: 8101,
  social: 8102,
  room: 8103,
  org: 8104,
  message: 8105,
  push: 8106,
}

/** Whose calls are counted together. A parameter that is absent is not counted. */
export type LimitKey = 'ip' | 'user' | 'user-or-ip' | `param:${string}`

/** A limit of transport.md §8, counted by the service that owns the endpoint. `LIMIT_FACTOR` multiplies `max`. */
export interface RateLimit {
  /** Several keys are counted in combination: `['user', 'param:toUserId']` is per user and target. */
  by: LimitKey | readonly LimitKey[]
  max: number
  /** Length of the window, which begins with the first call that is counted in it. */
  seconds: number
  /** What counts: every call (default), those that succeeded, or those that failed with one of the endpoint's `errors`. */
  counts?: 'calls' | 'successes' | 'failures'
  /** The errors that count as failures, where not all of the endpoint do. */
  failures?: readonly ErrorName[]
  /** Endpoints whose limits have the same group share one count. */
  group?: string
  /** Counts only calls in which the parameter is given and matches this regular expression. */
  where?: { param: string; matches: string }
  /** The error when the limit is reached; RateLimited by default. */
  error?: 'RateLimited' | 'LoginTooOften' | 'SmsTooFrequent'
}

/** HEAD only where an endpoint names it: apps ask it of files. */
export type Method = 'GET' | 'HEAD' | 'POST'

/** Web pages of our own: the administration console and the pages of a public account. */
export type Site = 'console' | 'mp'

export interface EndpointSpec {
  /** The path as apps spell it. `:name` is a path parameter, which `params` declares. */
  path: string
  /** Other paths the same endpoint is served under. */
  aliases?: readonly string[]
  /** GET and POST unless named. GET and POST of one path may be two endpoints. */
  methods?: readonly Method[]
  summary: LocalizedText
  auth: Auth
  /**
   * The endpoint only reads (RFC 9110 §9.2.1). The gateway may send such a call again when a service dies while answering it,
   * and a caller known by a cookie needs neither POST nor a CSRF token.
   */
  safe?: boolean
  /**
   * The endpoint belongs to pages of our own (transport.md §7): the cookie `<site>_token` is accepted as a token, no other
   * origin may call it (no CORS), and a browser that opens it gets the page.
   */
  site?: Site
  /** The page a browser is sent to (303) after its form was accepted. Only with `site`. */
  page?: string
  /** Each call is recorded: who, when, from where, with which parameters (10-console.md). */
  audit?: boolean
  /**
   * Request signature of crypto.md §5. By default a call with a token must be signed, and any other signature that is sent is
   * checked. `none`: nothing is checked. `own`: `time` and `secret` are parameters of the endpoint.
   */
  signature?: 'none' | 'own'
  /**
   * Where the parameters come from, and what the handler gets as `body`.
   * - absent: the query and the body (form, multipart fields or JSON) are merged.
   * - `form`: only a urlencoded body. A query, JSON or a repeated name is refused (RFC 6749 §3.2).
   * - `raw`: only the query. `body` holds the bytes of the body, for callbacks that are signed over them.
   * - `stream`: only the query. The handler reads `body` while it arrives, for uploads. Also for files that are read: the gateway
   *   carries them beside the short calls, so that slow clients hold up none of these.
   */
  body?: 'form' | 'raw' | 'stream'
  /** The fields and files of a multipart form that is a `stream`: for documents, because the handler reads it. */
  form?: TObject
  /** Longest body in bytes. By default 1 MiB where a parameter may be long, else 64 KiB. */
  maxBytes?: number
  /** How long (ms) an answer may take; 5 s by default. */
  timeoutMs?: number
  /** Further request headers the handler reads, in lower case, such as the signature of a provider. */
  headers?: readonly string[]
  params: TObject
  result: TSchema
  /** Members of a success's envelope beside `data`. The handler gives them in a `Reply`. */
  members?: TObject
  /** Errors of this endpoint, besides `commonErrors` and those that follow from its `auth`. */
  errors?: readonly ErrorName[]
  limits?: readonly RateLimit[]
  /** resultMsg of a success, where the specification gives one (it may be empty). */
  successText?: LocalizedText
  /**
   * `oauth`: errors are written as RFC 6749 documents with HTTP status codes. `file`: errors have an HTTP status, beside the
   * envelope, so that players and browsers understand them. `callback`: the same for providers, who take 200 for "received".
   */
  answer?: 'envelope' | 'oauth' | 'file' | 'callback'
}

export type Endpoint<S extends EndpointSpec = EndpointSpec> = Readonly<S> & {
  readonly service: ServiceName
  readonly name: string
}

export type Contract<E extends Record<string, EndpointSpec> = Record<string, EndpointSpec>> = {
  readonly [K in keyof E]: Endpoint<E[K]>
}

/** Declares the endpoints of one feature of a service. Everything else is derived from the returned constant. */
export function contract<const E extends Record<string, EndpointSpec>>(
  service: ServiceName,
  endpoints: E,
): Contract<E> {
  const named: Record<string, Endpoint> = {}
  for (const [name, spec] of Object.entries(endpoints)) named[name] = Object.freeze({ ...spec, service, name })
  knownContracts.add(named)
  return Object.freeze(named) as Contract<E>
}

const knownContracts = new WeakSet<object>()

export const isContract = (value: unknown): value is Contract =>
  typeof value === 'object' && value !== null && knownContracts.has(value)

/** The methods and paths an endpoint is served under. */
export function routesOf({ path, aliases = [], methods = ['GET', 'POST'] }: EndpointSpec): Route[] {
  return [path, ...aliases].flatMap((served) => methods.map((method) => ({ method, path: served })))
}

export interface Route {
  method: Method
  path: string
}

/** Decoded parameters of an endpoint: what its handler receives. */
export type Params<E extends EndpointSpec> = Static<E['params']>
/** What the handler of an endpoint returns. */
export type ResultOf<E extends EndpointSpec> = Static<E['result']>
/** What the handler adds to the envelope. */
export type MembersOf<E extends EndpointSpec> = E extends { members: infer M extends TObject } ? Static<M> : undefined

/** The user on whose behalf a call is made, as the gateway established it. */
export interface Caller {
  userId: number
  sessionId: string
  /** Device class: android, ios, pc, mac, web or other. */
  device: string
  kind: SessionKind
  /** Present where the endpoint's `auth` names a role: the highest one of the user at this moment, 0 without one. */
  role?: number
}

export interface RequestInfo {
  id: string
  method: Method
  ip: string
  language: Language
  userAgent: string
  /** As the client sees the server: for cookies and absolute addresses. */
  proto: 'http' | 'https'
  host: string
  /** Headers in lower case that reach a service: the usual ones and those the contract names. */
  headers: Readonly<Record<string, string | undefined>>
  /** The token that identified the caller. Where `auth` is `none`, the token as sent. */
  accessToken: string | undefined
  /** True when the call carries the service key: another service or the XMPP server. */
  isInternal: boolean
  /**
   * A page of somebody else may have made the call: its caller is known by a cookie alone, without a CSRF token. Only `safe` endpoints
   * are called so, and what they write beside reading they leave out.
   */
  isForgeable: boolean
}

type CallerOf<A extends Auth> = A extends 'none' | 'internal'
  ? undefined
  : A extends 'optional'
    ? Caller | undefined
    : A extends { readonly anyOf: readonly (infer Rule)[] }
      ? 'internal' extends Rule
        ? Caller | undefined
        : Caller
      : Caller

type BodyOf<E extends EndpointSpec> = E extends { body: 'raw' }
  ? Uint8Array
  : E extends { body: 'stream' }
    ? AsyncIterable<Uint8Array>
    : undefined

export interface Call<E extends EndpointSpec = EndpointSpec> {
  params: Params<E>
  caller: CallerOf<E['auth']>
  body: BodyOf<E>
  request: RequestInfo
  /** The time (milliseconds since 1970, by the clock of this process) after which nobody waits for the answer. */
  deadline: number
  /** Aborted when the deadline has passed or the caller is gone. */
  signal: AbortSignal
  /** Adds details to the audit entry of this call. Only with `audit`. */
  note(detail: Record<string, unknown>): void
}

/** A success with more than its data. */
export class Reply<T, M = undefined> {
  readonly data: T
  readonly more: ReplyOptions<M>
  constructor(data: T, more: ReplyOptions<M>) {
    this.data = data
    this.more = more
  }
}

export interface ReplyOptions<M = undefined> {
  /** `resultMsg` */
  text?: LocalizedText
  /** Members of the envelope beside `data`, as the contract's `members` declares them. */
  members?: M
  /** HTTP headers, cookies above all. */
  headers?: Readonly<Record<string, string | readonly string[]>>
}

type Answer<E extends EndpointSpec> =
  | ResultOf<E>
  | Reply<ResultOf<E>, MembersOf<E>>
  | RawAnswer
  | (ResultOf<E> extends readonly unknown[] ? WrittenRows : never)

export type Handler<E extends EndpointSpec, Deps> = (deps: Deps, call: Call<E>) => Promise<Answer<E>> | Answer<E>

/** One handler for each endpoint of the contract; a missing one does not compile. */
export type Handlers<C extends Contract, Deps> = { [K in keyof C]: Handler<C[K], Deps> }
