import { type Static, type TArray, type TObject, type TProperties, type TSchema, type TString, Type } from 'typebox'
import type { Display } from './display-text.ts'

/**
 * The kinds of parameters (spec transport.md §2), as schemas. A schema describes the *decoded* value; its `wire` keyword says
 * how the text of a query, form or JSON body is decoded.
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
  /** In characters. By default 64 KiB of UTF-8 (RequestTooLarge). Use `LongText` for more than 4096. */
  maxLength?: number
  minLength?: number
  pattern?: string
  long?: boolean
  /** Removes blanks at both ends before any check. */
  trim?: boolean
  /** Others see the text: what is invisible in it is removed before any check (display-text.ts). */
  display?: Display
  /**
   * How an empty or blank text is decoded. `absent` (default): as if it was not sent. `kept`: as it is. `blank-kept`: blanks as
   * they are, an empty text as absent. `blank-clears`: blanks as the empty text, an empty text as absent.
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

/** A parameter that apps send and nobody reads. It is documented, but neither checked nor given to the handler. */
export const Ignored = (options: { aliases?: readonly string[]; description?: string } = {}) =>
  Type.Optional(Type.Unsafe<undefined>({ wire: 'ignored', description: 'ignored', ...options }))

/** Any text, kept as sent. */
export const Text = (options: TextOptions = {}) => Type.String({ wire: 'text', ...options })

/** A text that may be long: bodies of messages, keys, documents. Requests of its endpoint may have 1 MiB. */
export const LongText = (options: TextOptions = {}) => Text({ long: true, ...options })

/** A name that people see: a nickname, a remark, a label. One in which nothing can be seen is InvalidParams. */
export const Name = (options: TextOptions = {}) => Text({ display: 'line', minLength: 1, ...options })

/** A text with line breaks that people see: a description, a notice. */
export const Prose = (options: TextOptions = {}) => Text({ display: 'lines', ...options })

/** A decimal integer within ±2^53, as text or number, with an optional sign; `12.0` is 12. */
export const Int = (options: NumberOptions = {}) => Type.Integer({ wire: 'int', ...options })

/** A finite decimal number with `.` as its point. */
export const Double = (options: NumberOptions = {}) => Type.Number({ wire: 'double', ...options })

/** 0 or 1; `true` and `false` are accepted. */
export const Flag = (options: ParamOptions<0 | 1> = {}) => Type.Enum([0, 1], { wire: 'flag', ...options })

/** A flag where -1 leaves the stored value as it is. */
export const FlagOrUnchanged = () =>
  Type.Integer({ wire: 'flag', minimum: -1, maximum: 1, description: '-1 leaves it unchanged' })

/** A whole number of 32 bits: apps read such a field into an `int`, and one that does not fit breaks them. */
export const Int32 = (options: ParamOptions<number> = {}) =>
  Int({ minimum: -2147483648, maximum: 2147483647, ...options })

/**
 * A point in time in seconds. Texts of at least 10^11 in absolute value are milliseconds and are divided by 1000.
 * `fraction: true` keeps fractions, as ranges need it; otherwise they are cut off.
 */
export const Time = (options: NumberOptions & { fraction?: boolean } = {}) =>
  Type.Number({ wire: 'time', description: 'seconds, or milliseconds from 10^11 on', ...options })

/** A number of days; -1 or 0 means for ever. A trailing `天` is dropped. */
export const Days = (options: NumberOptions = {}) =>
  Type.Number({ wire: 'days', minimum: -2, maximum: 1_000_000, description: 'days, -1 for ever', ...options })

/** Id of a user: 1..2147483647. */
export const UserId = (options: ParamOptions<number> = {}) =>
  Type.Integer({ wire: 'userId', minimum: 1, maximum: 2147483647, ...options })

/** A user's id or account. 0 and words such as `null` count as absent, as they do for ids. */
export const UserRef = (options: ParamOptions<string> = {}) =>
  Type.String({ wire: 'userRef', description: 'userId or account', ...options })

/** The caller's own id; any other id is PermissionDenied. An absent, empty or 0 value means the caller too. */
export const Self = (options: ParamOptions<number> = {}) =>
  Type.Optional(Type.Integer({ wire: 'self', minimum: 0, maximum: 2147483647, ...options }))

/** 24 hex digits. Anything else is answered with the error named by `notFound`, or InvalidParams without one. */
export const Oid = (options: ParamOptions<string> & { notFound?: string } = {}) =>
  Type.String({ wire: 'oid', pattern: '^[0-9a-f]{24}$', ...options })

/** A room: its id (24 hex) or its jid; 24 hex is looked up as id first, then as jid. */
export const RoomRef = (options: ParamOptions<string> = {}) =>
  Type.String({ wire: 'roomRef', maxLength: 64, ...options })

/** User ids as JSON array, comma list, single number or repeated parameter. Blanks and duplicates are dropped; at most 1000. */
export const Ids = (options: { aliases?: readonly string[]; description?: string } = {}) =>
  Type.Array(UserId(), { wire: 'ids', maxItems: 1000, ...options })

export interface ListOptions {
  aliases?: readonly string[]
  description?: string
  maxItems?: number
  minItems?: number
  /** Bytes of UTF-8 that it may have as a text; 64 KiB by default. */
  maxBytes?: number
  /** False keeps duplicates, for lists whose items belong to those of another list by position. */
  unique?: boolean
  /** False: a comma is part of a text. */
  commas?: boolean
  /** `kept`: a blank text stays as an empty one, so that those behind it keep their position. */
  empty?: 'kept'
}

/** Texts, or other `item`s, in the same encodings as `Ids`. Blanks and duplicates are dropped, unless options say otherwise. */
export function List(options?: ListOptions): TArray<TString>
export function List<T extends TSchema>(options: ListOptions & { item: T }): TArray<T>
export function List({ item = Text(), ...options }: ListOptions & { item?: TSchema } = {}) {
  return Type.Array(item, { wire: 'list', maxItems: 1000, ...options })
}

/** JSON text; the handler gets it parsed. Keys that begin with `$` are refused. */
export const Json = (options: { aliases?: readonly string[]; description?: string } = {}) =>
  Type.Unsafe<unknown>({ wire: 'json', ...options })

/** JSON text that fits `schema`. Members that the schema does not name are dropped. */
export const JsonOf = <T extends TSchema>(
  schema: T,
  options: { aliases?: readonly string[]; description?: string; maxBytes?: number } = {},
) => Type.Unsafe<Static<T>>({ ...schema, wire: 'json', checked: true, ...options })

/** A password, sent plain or as md5. It is decoded to its md5 as 32 lower-case hex digits (crypto.md §1). */
export const Pwd = (options: ParamOptions<string> = {}) =>
  Type.String({
    wire: 'pwd',
    pattern: '^[0-9a-f]{32}$',
    description: 'md5 hex of the password, or the password',
    ...options,
  })

/** A 64-bit id. It is decoded as a text of digits, because numbers lose digits beyond 2^53. */
export const LongId = (options: ParamOptions<string> = {}) =>
  Type.String({ wire: 'longId', pattern: '^-?[0-9]{1,19}$', ...options })

/** Number of a page, from 0. The default replaces a negative or unreadable value. */
export const PageIndex = (options: ParamOptions<number> = {}) =>
  Type.Integer({ wire: 'page', minimum: 0, maximum: 1_000_000, default: 0, ...options })

/** Rows of a page, at most `maximum` (1000). The default replaces a negative or unreadable value. */
export const PageSize = (defaultSize: number, maximum = 1000, options: ParamOptions<number> = {}) =>
  Type.Integer({ wire: 'page', minimum: 1, maximum, default: defaultSize, ...options })

/** Rows of a page. Without a size everything is returned. */
export const PageSizeOrAll = (maximum = 1000) =>
  Type.Optional(Type.Integer({ wire: 'page', minimum: 1, maximum, description: 'everything when absent' }))

/**
 * An object whose fields apps send as parameters of their own, as one JSON text under the entity's name, or nested in a JSON
 * body. Parameters win over the JSON. When any field is given, all fields that have no default and are not optional are required.
 */
export const Entity = <P extends TProperties>(fields: P, options: { description?: string } = {}) =>
  Type.Object(fields, { wire: 'entity', ...options }) as TObject<P>
