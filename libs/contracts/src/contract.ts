import type { Static, TObject, TSchema } from 'typebox'
import type { ErrorName, Text2 } from './errors.ts'

export const serviceNames = ['gateway', 'user', 'social', 'room', 'org', 'message', 'push'] as const
export type ServiceName = (typeof serviceNames)[number]

/** Where each service listens unless told otherwise. */
export const servicePorts: Readonly<Record<ServiceName, number>> = {
  gateway: 8092,
  user: 8101,
  social: 8102,
  room: 8103,
  org: 8104,
  message: 8105,
  push: 8106,
}

/**
 * Who may call.
 * - `none`: a token is ignored, also an invalid one.
 * - `user`: a live session (TokenMissing, TokenInvalid).
 * - `optional`: like `none`, but the handler learns the caller when the token is live.
 * - `internal`: other services and the XMPP server with `X-Service-Key`; the gateway does not route it.
 */
export type Auth = 'none' | 'user' | 'optional' | 'internal'

/** A limit of transport.md §8, counted by the gateway per endpoint (or per `group`, shared by several endpoints). */
export interface RateLimit {
  by: 'ip' | 'user' | 'user-or-ip'
  max: number
  seconds: number
  group?: string
}

export interface EndpointSpec {
  /** Path on the wire, with the wire's spelling. */
  path: string
  /** Other paths the same endpoint is served under. */
  aliases?: readonly string[]
  /** GET and POST unless named. */
  methods?: readonly ('GET' | 'POST')[]
  summary: string
  auth: Auth
  params: TObject
  result: TSchema
  /** Particular to this endpoint; `commonErrors` and the token errors are understood. */
  errors?: readonly ErrorName[]
  limits?: readonly RateLimit[]
  /** resultMsg of a success, where the spec gives one ('' included). */
  successText?: Text2
  /** `oauth`: errors are written as RFC 6749 documents with HTTP status codes. */
  answer?: 'envelope' | 'oauth'
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
  made.add(named)
  return Object.freeze(named) as Contract<E>
}

const made = new WeakSet<object>()

export const isContract = (value: unknown): value is Contract =>
  typeof value === 'object' && value !== null && made.has(value)

/** Decoded parameters of an endpoint: what its handler receives. */
export type Params<E extends EndpointSpec> = Static<E['params']>
/** What its handler returns. */
export type ResultOf<E extends EndpointSpec> = Static<E['result']>

/** The user on whose behalf a call is made, as the gateway established it. */
export interface Caller {
  userId: number
  sessionId: string
  /** Device class: android, ios, pc, mac, web or other. */
  device: string
}

export interface RequestInfo {
  id: string
  ip: string
  language: 'zh' | 'en'
  userAgent: string
  /** The token as sent, for endpoints that hand it back; undefined when none was sent. */
  accessToken: string | undefined
  /** True when the call carries the service key: another service or the XMPP server. */
  isInternal: boolean
}

type CallerOf<E extends EndpointSpec> = E['auth'] extends 'user'
  ? Caller
  : E['auth'] extends 'optional'
    ? Caller | undefined
    : undefined

export interface Call<E extends EndpointSpec = EndpointSpec> {
  params: Params<E>
  caller: CallerOf<E>
  request: RequestInfo
}

/** A success with a text of its own in `resultMsg`. */
export class Reply<T> {
  readonly data: T
  readonly text: Text2
  constructor(data: T, text: Text2) {
    this.data = data
    this.text = text
  }
}

export type Handler<E extends EndpointSpec, Deps> = (
  deps: Deps,
  call: Call<E>,
) => Promise<ResultOf<E> | Reply<ResultOf<E>>> | ResultOf<E> | Reply<ResultOf<E>>

/** One handler for each endpoint of the contract; a missing one does not compile. */
export type Handlers<C extends Contract, Deps> = { [K in keyof C]: Handler<C[K], Deps> }
