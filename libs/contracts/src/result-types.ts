import { type Static, type TSchema, Type } from 'typebox'

/** Success without a `data` member. */
export const Nothing = Type.Void({ description: 'no data' })

/** Success with this `data` member, or without one when there is nothing to answer. */
export const Maybe = <T extends TSchema>(data: T) => Type.Unsafe<Static<T> | undefined>({ ...data, maybe: true })

/** Milliseconds since 1970. */
export const Milliseconds = (options: object = {}) => Type.Integer({ description: 'milliseconds', ...options })

/** Whole seconds since 1970. */
export const UnixSeconds = (options: object = {}) => Type.Integer({ description: 'seconds', ...options })

/** 0 or 1: the API has no booleans in answers. */
export const FlagResult = (options: object = {}) => Type.Integer({ minimum: 0, maximum: 1, ...options })

/** A 64-bit id, written as a bare JSON number with all its digits. */
export const LongIdResult = () => Type.Unsafe<bigint>({ type: 'integer', format: 'int64' })

/** One page of rows with the count of all. `pageCount` = ceil(total / pageSize). */
export const PageVO = <T extends TSchema>(row: T) =>
  Type.Object({
    pageCount: Type.Integer(),
    pageData: Type.Array(row),
    pageIndex: Type.Integer(),
    pageSize: Type.Integer(),
    total: Type.Integer(),
  })

/** Makes the page object that clients get. */
export function pageOf<T>(pageData: T[], total: number, pageIndex: number, pageSize: number) {
  return { pageCount: Math.ceil(total / pageSize), pageData, pageIndex, pageSize, total }
}

/** An HTTP answer without an envelope. Any handler may return one. */
export class RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: string | Uint8Array | AsyncIterable<Uint8Array>
  constructor(body: RawAnswer['body'], options: { status?: number; headers?: RawAnswer['headers'] } = {}) {
    this.body = body
    this.status = options.status ?? 200
    this.headers = options.headers ?? {}
  }
}

/** Rows of a result that is a list, written by its `RowWriter` of the service kit, with commas between them. */
export class WrittenRows {
  readonly bytes: Uint8Array
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}

/** Sends the client on to another address. */
export const redirect = (location: string, status: 302 | 303 | 307 | 308 = 303): RawAnswer =>
  new RawAnswer('', { status, headers: { location } })

/** Result of an endpoint that answers an image or an OAuth document instead of the envelope; `mediaType` is for documents. */
export const Raw = (mediaType: string) => Type.Unsafe<RawAnswer>({ 'x-raw': mediaType })

export type Result<T extends TSchema> = Static<T>
