import { createHash } from 'node:crypto'
import { ContractError, displayText } from '@im/contracts'
import { parseJson } from '../parse-json.ts'
import { refuseUnsafeKeys } from './json-keys.ts'
import { invalid, type ParamSchema } from './param-schema.ts'

/** A text parameter may have this many bytes of UTF-8 (transport.md §1), unless its contract says `maxBytes`. */
const maxTextBytes = 64 * 1024
/** No meaningful number is longer; longer texts are not read. */
const longestNumber = 64
const decimal = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)$/
/** The last date that JavaScript knows (seconds). */
const lastSecond = 8.64e12
const noXmlCharacter = /[\ufffe\uffff]/g

/** Decodes one value of the wire by the kind of its parameter (transport.md §2). Takes time linear in its length. */
export function decodeValue(name: string, schema: ParamSchema, value: unknown): unknown {
  switch (schema.wire) {
    case 'int':
    case 'userId':
      return integer(name, value)
    case 'self':
      // 0 means the caller, as if the parameter was absent.
      return integer(name, value) || undefined
    case 'double':
      return number(name, value)
    case 'flag':
      return flag(name, value)
    case 'time':
      return time(name, value, schema)
    case 'days':
      return number(name, typeof value === 'string' ? withoutDaysSign(value) : value)
    case 'page':
      return page(value, schema)
    case 'oid':
      return oid(name, value, schema)
    case 'longId':
      return longId(name, value)
    case 'json':
      return json(name, value, schema)
    case 'pwd':
      return password(name, value)
    case 'userRef':
      return text(name, value, { trim: true })
    case 'roomRef': {
      const ref = text(name, value, { trim: true })
      return /^[0-9a-f]{24,32}$/i.test(ref) ? ref.toLowerCase() : ref
    }
    default:
      return text(name, value, schema)
  }
}

export function text(
  name: string,
  value: unknown,
  {
    trim,
    empty,
    display,
    maxLength,
    maxBytes = maxTextBytes,
  }: Pick<ParamSchema, 'trim' | 'empty' | 'display' | 'maxLength' | 'maxBytes'> = {},
): string {
  // One text is wanted, not JSON of something else: `{"name":{"$ne":1}}` is no name.
  if (typeof value === 'object') throw invalid(name, 'not a text')
  const whole = plainText(value)
  if (whole.length > maxBytes || Buffer.byteLength(whole) > maxBytes)
    throw new ContractError('RequestTooLarge', { detail: name })
  if (whole.includes('\0')) throw invalid(name, 'holds a NUL character')
  if (empty === 'blank-clears' && whole.trim() === '') return ''
  // Half a surrogate pair can be stored by no database; neither it nor a noncharacter can be sent in XML.
  const sendable = (trim ? whole.trim() : whole).toWellFormed().replace(noXmlCharacter, '\ufffd')
  if (!display) return sendable
  if (maxLength !== undefined && sendable.length > cleanedLength(maxLength)) throw invalid(name, 'too long')
  return displayText(sendable, display)
}

/** How long a text may be of which others see `maxLength` characters, some of several code units: cleaning takes 1 ms for each kilobyte. */
const cleanedLength = (maxLength: number) => 5 * maxLength + 2000

function json(name: string, value: unknown, schema: ParamSchema): unknown {
  const parsed = readJson(name, value, schema)
  refuseUnsafeKeys(name, parsed)
  return parsed
}

/** The value of a JSON text; a value from a JSON body is one already. */
export function readJson(name: string, value: unknown, { maxBytes }: Pick<ParamSchema, 'maxBytes'> = {}): unknown {
  if (typeof value !== 'string') return value
  const whole = text(name, value, { maxBytes })
  try {
    return parseJson(whole)
  } catch {
    throw invalid(name, 'not valid JSON')
  }
}

export function integer(name: string, value: unknown): number {
  const parsed = number(name, value)
  if (!Number.isInteger(parsed)) throw invalid(name, 'not a whole number')
  if (!Number.isSafeInteger(parsed)) throw invalid(name, 'out of range')
  return parsed
}

function number(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value + 0 // -0 becomes 0
  const digits = shortText(value)
  if (digits === undefined || !decimal.test(digits)) throw invalid(name, 'not a number')
  return Number(digits) + 0
}

function flag(name: string, value: unknown): number {
  const word = shortText(value)?.toLowerCase()
  if (word === 'true') return 1
  if (word === 'false') return 0
  return integer(name, value)
}

function time(name: string, value: unknown, { fraction }: ParamSchema): number {
  const parsed = number(name, value)
  const seconds = Math.abs(parsed) >= 1e11 ? parsed / 1000 : parsed
  if (Math.abs(seconds) > lastSecond) throw invalid(name, 'out of range')
  return fraction ? seconds : Math.trunc(seconds) + 0
}

function withoutDaysSign(value: string): string {
  const days = value.trim()
  return days.endsWith('天') ? days.slice(0, -1) : days
}

function page(value: unknown, schema: ParamSchema): unknown {
  const digits = shortText(value)
  const parsed = digits !== undefined && decimal.test(digits) ? Math.trunc(Number(digits)) : -1
  if (parsed < (schema.minimum ?? 0)) return schema.default
  return Math.min(parsed, schema.maximum ?? parsed)
}

function oid(name: string, value: unknown, { notFound }: ParamSchema): string {
  const id = shortText(value)?.toLowerCase()
  if (id !== undefined && /^[0-9a-f]{24}$/.test(id)) return id
  throw notFound ? new ContractError(notFound, { detail: name }) : invalid(name, 'not an object id')
}

function longId(name: string, value: unknown): string {
  const digits = shortText(value)
  if (digits === undefined || !/^[+-]?\d{1,19}$/.test(digits)) throw invalid(name, 'not a whole number')
  const id = BigInt(digits.startsWith('+') ? digits.slice(1) : digits)
  if (BigInt.asIntN(64, id) !== id) throw invalid(name, 'out of range')
  return String(id)
}

function password(name: string, value: unknown): string {
  const whole = text(name, value)
  if (/^[0-9a-f]{32}$/i.test(whole)) return whole.toLowerCase()
  return createHash('md5').update(whole).digest('hex')
}

/** The text of a number, an id or a word; undefined for any other value. */
export function shortText(value: unknown): string | undefined {
  if (typeof value === 'object') return undefined
  const trimmed = plainText(value).trim()
  return trimmed.length <= longestNumber ? trimmed : undefined
}

function plainText(value: unknown): string {
  if (typeof value === 'boolean') return value ? '1' : '0'
  return String(value)
}
