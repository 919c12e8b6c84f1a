import { type Static, type TSchema, Type } from 'typebox'

/** Success without a `data` member. */
export const Nothing = Type.Void({ description: 'no data' })

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

/** Puts rows into the page object of the wire. */
export function pageOf<T>(pageData: T[], total: number, pageIndex: number, pageSize: number) {
  return { pageCount: Math.ceil(total / pageSize), pageData, pageIndex, pageSize, total }
}

/** An answer that is not the JSON envelope (an image, an OAuth document). Built by `rawAnswer`. */
export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}

/** Marks an endpoint whose handler writes the whole HTTP answer; `mediaType` is for the documentation. */
export const Raw = (mediaType: string) => Type.Unsafe<RawAnswer>({ 'x-raw': mediaType })

export type Result<T extends TSchema> = Static<T>
