import { type Static, type TArray, type TObject, type TProperties, type TSchema, type TString, Type } from 'typebox'

/**
 * The kinds of parameter of the wire (spec transport.md §2), as schemas. A schema describes the *decoded* value;
 * its `wire` keyword tells the edge how the text of a query, form or JSON body becomes that value.
 *
 * Common options: `default` (used when absent), `aliases` (other names the same parameter is accepted under),
 * `description`. A parameter without default that is not wrapped in `Type.Optional` is required.
 */
export interface ParamOptions<T> {
  default?: T
  aliases?: readonly string[]
  description?: string
}

export interface TextOptions extends ParamOptions<string> {
  /** Characters; without it 64 KiB of UTF-8 (RequestTooLarge). Says more than 4096: `LongText`. */
  maxLength?: number
  minLength?: number
  pattern?: string
  long?: boolean
  /** Blanks at both ends are removed before any check. */
  trim?: boolean
  /**
   * What a text of nothing, or of blanks only, means: absent (default), itself, itself when it has at least one blank, or the
   * empty text when it has at least one blank.
   */
  empty?: 'absent' | 'kept' | 'blank-kept' | 'blank-clears'
}

export interface NumberOptions extends ParamOptions<number> {
  minimum?: number
  maximum?: number
}

export type WireKind =
  | 'text'
  | 'int'
  | 'double'
  | 'flag'
  | 'time'
  | 'days'
  | 'userId'
  | 'userRef'
  | 'self'
  | 'oid'
  | 'roomRef'
  | 'ids'
  | 'list'
  | 'json'
  | 'pwd'
  | 'longId'
  | 'entity'
  | 'page'
  | 'ignored'

/** What apps send and nobody reads: it is documented, never checked, and reaches no handler. */
export const Ignored = (options: { aliases?: readonly string[]; description?: string } = {}) =>
  Type.Optional(Type.Unsafe<undefined>({ wire: 'ignored', description: 'ignored', ...options }))

/** Any text, kept as sent. */
export const Text = (options: TextOptions = {}) => Type.String({ wire: 'text', ...options })

/** A text that may be long: bodies of messages, keys, documents. Requests of its endpoint may have 1 MiB. */
export const LongText = (options: TextOptions = {}) => Text({ long: true, ...options })

/** Decimal text or number with optional sign; `12.0` is 12. Within ±2^53. */
export const Int = (options: NumberOptions = {}) => Type.Integer({ wire: 'int', ...options })

/** Finite decimal number with `.` as point. */
export const Double = (options: NumberOptions = {}) => Type.Number({ wire: 'double', ...options })

/** 0 or 1; `true` and `false` are accepted. */
export const Flag = (options: ParamOptions<0 | 1> = {}) => Type.Enum([0, 1], { wire: 'flag', ...options })

/** A flag where -1 means "as it is". */
export const FlagOrUnchanged = () =>
  Type.Integer({ wire: 'flag', minimum: -1, maximum: 1, description: '-1 leaves it unchanged' })

/** A whole number of 32 bits: apps read such a field into an `int`, and one that does not fit breaks them. */
export const Int32 = (options: ParamOptions<number> = {}) =>
  Int({ minimum: -2147483648, maximum: 2147483647, ...options })

/**
 * A point in time in seconds. Texts of at least 10^11 in absolute value are milliseconds and are divided by 1000.
 * `fraction: true` keeps fractions (ranges); else they are cut (stored fields).
 */
export const Time = (options: NumberOptions & { fraction?: boolean } = {}) =>
  Type.Number({ wire: 'time', description: 'seconds, or milliseconds from 10^11 on', ...options })

/** A span in days; -1 or 0 for ever. A trailing `天` is dropped. */
export const Days = (options: NumberOptions = {}) =>
  Type.Number({ wire: 'days', minimum: -2, maximum: 1_000_000, description: 'days, -1 for ever', ...options })

/** Id of a user: 1..2147483647. */
export const UserId = (options: ParamOptions<number> = {}) =>
  Type.Integer({ wire: 'userId', minimum: 1, maximum: 2147483647, ...options })

/** A user: their id or their account. 0 and the words for nothing are absent, as with ids. */
export const UserRef = (options: ParamOptions<string> = {}) =>
  Type.String({ wire: 'userRef', description: 'userId or account', ...options })

/** A user id that may only be the caller's own; absent, 0 and empty mean the caller too (else PermissionDenied). */
export const Self = (options: ParamOptions<number> = {}) =>
  Type.Optional(Type.Integer({ wire: 'self', minimum: 0, maximum: 2147483647, ...options }))

/** 24 hex digits. A wrong form is the object's own error (`notFound`), not InvalidParams: pass it to `Oid`. */
export const Oid = (options: ParamOptions<string> & { notFound?: string } = {}) =>
  Type.String({ wire: 'oid', pattern: '^[0-9a-f]{24}$', ...options })

/** A room: its id (24 hex) or its jid; 24 hex is looked up as id first, then as jid. */
export const RoomRef = (options: ParamOptions<string> = {}) =>
  Type.String({ wire: 'roomRef', maxLength: 64, ...options })

/** User ids: JSON array, comma list, single number or repeated parameter. No blanks, no doubles, at most 1000. */
export const Ids = (options: { aliases?: readonly string[]; description?: string } = {}) =>
  Type.Array(UserId(), { wire: 'ids', maxItems: 1000, ...options })

export interface ListOptions {
  aliases?: readonly string[]
  description?: string
  maxItems?: number
  minItems?: number
  /** False keeps doubles: where two lists belong together by their positions. */
  unique?: boolean
  /** False: a comma is part of a text. */
  commas?: boolean
}

/** Texts, or other `item`s, in the same encodings as `Ids`. Blanks and doubles are dropped. */
export function List(options?: ListOptions): TArray<TString>
export function List<T extends TSchema>(options: ListOptions & { item: T }): TArray<T>
export function List({ item = Text(), ...options }: ListOptions & { item?: TSchema } = {}) {
  return Type.Array(item, { wire: 'list', maxItems: 1000, ...options })
}

/** JSON text, handed on parsed. Keys that begin with `$` are refused. */
export const Json = (options: { aliases?: readonly string[]; description?: string } = {}) =>
  Type.Unsafe<unknown>({ wire: 'json', ...options })

/** JSON text of the form of `schema`. What the schema does not name is dropped. */
export const JsonOf = <T extends TSchema>(
  schema: T,
  options: { aliases?: readonly string[]; description?: string } = {},
) => Type.Unsafe<Static<T>>({ ...schema, wire: 'json', checked: true, ...options })

/** A password; decoded to its md5 as 32 lower-case hex digits (crypto.md §1), whether sent so or plain. */
export const Pwd = (options: ParamOptions<string> = {}) =>
  Type.String({
    wire: 'pwd',
    pattern: '^[0-9a-f]{32}$',
    description: 'md5 hex of the password, or the password',
    ...options,
  })

/** A 64-bit id, decoded as its digits so that nothing is lost beyond 2^53. */
export const LongId = (options: ParamOptions<string> = {}) =>
  Type.String({ wire: 'longId', pattern: '^-?[0-9]{1,19}$', ...options })

/** Number of a page, from 0. A negative or unreadable value takes the default. */
export const PageIndex = (options: ParamOptions<number> = {}) =>
  Type.Integer({ wire: 'page', minimum: 0, maximum: 1_000_000, default: 0, ...options })

/** Rows of a page: capped at `maximum` (1000); a negative or unreadable value takes the default. */
export const PageSize = (defaultSize: number, maximum = 1000) =>
  Type.Integer({ wire: 'page', minimum: 1, maximum, default: defaultSize })

/** Rows of a page where no size means everything. */
export const PageSizeOrAll = (maximum = 1000) =>
  Type.Optional(Type.Integer({ wire: 'page', minimum: 1, maximum, description: 'everything when absent' }))

/**
 * Fields that apps send flat (each its own parameter), as one JSON text under the entity's name, or nested in a JSON body.
 * Flat fields win. A field that is not optional and has no default is required as soon as the entity is given.
 */
export const Entity = <P extends TProperties>(fields: P, options: { description?: string } = {}) =>
  Type.Object(fields, { wire: 'entity', ...options }) as TObject<P>
