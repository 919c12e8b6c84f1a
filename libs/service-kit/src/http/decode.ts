import { createHash } from 'node:crypto'
import { ContractError, type Endpoint, type ErrorName, type WireKind } from '@im/contracts'
import { Ajv, type ValidateFunction } from 'ajv'
import type { TObject, TSchema } from 'typebox'
import { parseJson } from './parse-json.ts'
import type { RawParams } from './raw-params.ts'

interface ParamSchema {
  wire?: WireKind
  type?: string
  default?: unknown
  aliases?: readonly string[]
  minimum?: number
  maximum?: number
  pattern?: string
  trim?: boolean
  empty?: 'absent' | 'kept' | 'blank-kept' | 'blank-clears'
  fraction?: boolean
  notFound?: ErrorName
  properties?: Record<string, ParamSchema>
}

/** A text parameter may have this many bytes of UTF-8 (transport.md §1). */
const maxTextBytes = 64 * 1024
const maxListItems = 1000
const decimal = /^[+-]?(\d+\.?\d*|\.\d+)$/
const absentWords = new Set(['null', 'undefined', '(null)'])

const invalid = (name: string, why: string) => new ContractError('InvalidParams', { detail: `${name}: ${why}` })

function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return value ? '1' : '0'
  if (typeof value === 'number') return String(value)
  return JSON.stringify(value)
}

/** One text is wanted, not JSON of something else: `{"name":{"$ne":1}}` is no name. */
function oneText(name: string, value: unknown): string {
  if (typeof value === 'object') throw invalid(name, 'not a text')
  return textOf(value)
}

/** Kinds for which the texts `null`, `undefined` and `(null)` mean absent. */
const isNumberOrId = (kind: WireKind) => kind !== 'text' && kind !== 'list' && kind !== 'json' && kind !== 'pwd'

function isAbsent(value: unknown, schema: ParamSchema): boolean {
  if (value === null || value === undefined) return true
  if (schema.wire === 'userRef' && textOf(value).trim() === '0') return true
  const text = typeof value === 'string' ? value : undefined
  if (text === undefined) return false
  if (schema.empty === 'kept') return false
  if (text === '') return true
  if (text.trim() === '') return schema.empty !== 'blank-kept' && schema.empty !== 'blank-clears'
  return isNumberOrId(schema.wire ?? 'text') && absentWords.has(text.trim())
}

function valuesOf(params: RawParams, name: string, schema: ParamSchema): unknown[] {
  const values: unknown[] = []
  for (const key of [name, ...(schema.aliases ?? [])])
    for (const value of params.get(key) ?? []) if (!isAbsent(value, schema)) values.push(value)
  return values
}

function number(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value + 0
  const text = textOf(value).trim()
  if (!decimal.test(text)) throw invalid(name, 'not a number')
  const parsed = Number(text)
  if (!Number.isFinite(parsed)) throw invalid(name, 'not a finite number')
  return parsed + 0 // -0 becomes 0
}

function integer(name: string, value: unknown): number {
  const parsed = number(name, value)
  if (!Number.isInteger(parsed)) throw invalid(name, 'not a whole number')
  if (!Number.isSafeInteger(parsed)) throw invalid(name, 'out of range')
  return parsed
}

function time(name: string, value: unknown, schema: ParamSchema): number {
  const parsed = number(name, value)
  const seconds = Math.abs(parsed) >= 1e11 ? parsed / 1000 : parsed
  if (Math.abs(seconds) > lastSecond) throw invalid(name, 'out of range')
  return schema.fraction ? seconds : Math.trunc(seconds) + 0
}

function days(name: string, value: unknown): number {
  return number(name, typeof value === 'string' ? value.trim().replace(/天$/, '') : value)
}

/** Beyond it no date exists in JavaScript (seconds). */
const lastSecond = 8.64e12
const noXmlCharacter = /[\ufffe\uffff]/g

function text(name: string, value: unknown, schema: ParamSchema): string {
  const whole = oneText(name, value)
  if (Buffer.byteLength(whole) > maxTextBytes) throw new ContractError('RequestTooLarge', { detail: name })
  if (whole.includes('\0')) throw invalid(name, 'holds a NUL character')
  if (schema.empty === 'blank-clears' && whole.trim() === '') return ''
  // Half a surrogate pair can be stored by no database; neither it nor a noncharacter can be sent in XML.
  return (schema.trim ? whole.trim() : whole).toWellFormed().replace(noXmlCharacter, '\ufffd')
}

function oid(name: string, value: unknown, schema: ParamSchema): string {
  const id = textOf(value).trim().toLowerCase()
  if (/^[0-9a-f]{24}$/.test(id)) return id
  throw schema.notFound ? new ContractError(schema.notFound, { detail: name }) : invalid(name, 'not an object id')
}

function page(value: unknown, schema: ParamSchema): unknown {
  const parsed = decimal.test(textOf(value).trim()) ? Math.trunc(Number(textOf(value))) : -1
  if (parsed < (schema.minimum ?? 0)) return schema.default
  return Math.min(parsed, schema.maximum ?? parsed)
}

/** Splits the values of a list parameter: JSON array, comma list, single value, repeated parameter. */
function items(name: string, values: unknown[]): string[] {
  const found = new Set<string>()
  for (const value of values) {
    let members: unknown[]
    if (Array.isArray(value)) members = value
    else {
      const whole = text(name, value, {})
      members = whole.trim().startsWith('[') ? jsonArray(name, whole) : whole.split(',')
    }
    for (const member of members) {
      if (member === null) continue
      if (typeof member === 'object') throw invalid(name, 'not a list of texts or numbers')
      const item = text(name, member, { trim: true })
      if (item) found.add(item)
    }
    if (found.size > maxListItems) throw invalid(name, `more than ${maxListItems} items`)
  }
  return [...found]
}

function jsonArray(name: string, whole: string): unknown[] {
  const parsed = json(name, whole)
  if (!Array.isArray(parsed)) throw invalid(name, 'not a JSON array')
  return parsed
}

function json(name: string, value: unknown): unknown {
  if (typeof value !== 'string') return value
  try {
    return parseJson(text(name, value, {}))
  } catch (error) {
    if (error instanceof ContractError) throw error
    throw invalid(name, 'not valid JSON')
  }
}

function password(name: string, value: unknown): string {
  const whole = text(name, value, {})
  if (/^[0-9a-f]{32}$/i.test(whole)) return whole.toLowerCase()
  return createHash('md5').update(whole).digest('hex')
}

function flag(name: string, value: unknown): number {
  const whole = textOf(value).trim().toLowerCase()
  if (whole === 'true') return 1
  if (whole === 'false') return 0
  return integer(name, value)
}

function decodeOne(name: string, schema: ParamSchema, values: unknown[]): unknown {
  const value = values[0]
  switch (schema.wire) {
    case 'int':
    case 'userId':
      return integer(name, value)
    case 'self': {
      const id = integer(name, value)
      return id === 0 ? undefined : id
    }
    case 'double':
      return number(name, value)
    case 'flag':
      return flag(name, value)
    case 'time':
      return time(name, value, schema)
    case 'days':
      return days(name, value)
    case 'page':
      return page(value, schema)
    case 'oid':
      return oid(name, value, schema)
    case 'longId': {
      const digits = textOf(value).trim()
      if (!/^[+-]?\d{1,19}$/.test(digits)) throw invalid(name, 'not a whole number')
      const id = BigInt(digits.replace(/^\+/, ''))
      if (BigInt.asIntN(64, id) !== id) throw invalid(name, 'out of range')
      return String(id)
    }
    case 'ids': {
      const ids = items(name, values).filter((item) => !absentWords.has(item))
      return [...new Set(ids.map((item) => integer(name, item)))]
    }
    case 'list':
      return items(name, values)
    case 'json':
      return json(name, value)
    case 'pwd':
      return password(name, value)
    case 'userRef':
      return text(name, value, { trim: true })
    case 'roomRef': {
      const ref = text(name, value, {}).trim()
      return /^[0-9a-f]{24,32}$/i.test(ref) ? ref.toLowerCase() : ref
    }
    default:
      return text(name, value, schema)
  }
}

const isField = ({ wire }: ParamSchema) => wire !== 'entity' && wire !== 'ignored'

/** A user id outside its range or of no number is no user; other kinds are checked by Ajv. */
function decodeFields(params: RawParams, properties: Record<string, ParamSchema>, required: ReadonlySet<string>) {
  const given = new Map<string, unknown[]>()
  for (const [name, schema] of Object.entries(properties)) {
    if (!isField(schema)) continue
    const values = valuesOf(params, name, schema)
    if (values.length) given.set(name, values)
    else if (required.has(name) && schema.default === undefined)
      throw new ContractError('MissingParam', { detail: name })
  }
  const decoded: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(properties)) {
    if (!isField(schema)) continue
    const values = given.get(name)
    // 0 is no user: apps send it where they mean "none".
    const zero = schema.wire === 'userId' && !required.has(name) && values && textOf(values[0]).trim() === '0'
    const value = values && !zero ? decodeOne(name, schema, values) : schema.default
    if (value !== undefined) decoded[name] = value
  }
  return decoded
}

/** Flat fields win over fields of the JSON text or object under the entity's name. */
function decodeEntity(params: RawParams, name: string, schema: ParamSchema): Record<string, unknown> {
  const merged: RawParams = new Map(params)
  for (const value of params.get(name) ?? []) {
    const nested = typeof value === 'string' && value.trim() ? json(name, value) : value
    if (typeof nested !== 'object' || nested === null || Array.isArray(nested)) {
      if (typeof nested === 'string') continue
      throw invalid(name, 'not a JSON object')
    }
    for (const [field, member] of Object.entries(nested))
      if (member !== null) merged.set(field, [...(merged.get(field) ?? []), member])
  }
  return decodeFields(merged, schema.properties ?? {}, new Set())
}

const ajv = new Ajv({ strict: false, allErrors: false, coerceTypes: false, useDefaults: false })

function check(validate: ValidateFunction, value: unknown, properties: Record<string, ParamSchema>): void {
  if (validate(value)) return
  const error = validate.errors?.[0]
  const [, outer = '', inner] = error?.instancePath.split('/') ?? []
  const name =
    (properties[outer]?.wire === 'entity' && inner) || outer || String(error?.params['missingProperty'] ?? 'parameter')
  throw new ContractError('InvalidParams', { detail: `${name}: ${error?.message ?? 'not valid'}` })
}

export type Decoder = (params: RawParams) => Record<string, unknown>

/**
 * Compiles the decoder of an endpoint. In this order (transport.md §6): required parameters as the contract lists them
 * (MissingParam), then types and ranges (InvalidParams, RequestTooLarge), each with the parameter's name.
 */
export function compileDecoder(endpoint: Pick<Endpoint, 'params' | 'path'>): Decoder {
  const schema = endpoint.params as TObject
  const properties = schema.properties as Record<string, TSchema & ParamSchema>
  const required = new Set((schema.required as string[] | undefined) ?? [])
  const validate = ajv.compile(JSON.parse(JSON.stringify(schema)))
  const entities = Object.entries(properties).filter(([, property]) => property.wire === 'entity')
  for (const [name, property] of Object.entries(properties))
    if (!property.wire)
      throw new Error(`${endpoint.path}: parameter ${name} has no wire kind; use the types of param-types.ts`)
  return (params) => {
    const decoded = decodeFields(params, properties, required)
    for (const [name, property] of entities) {
      const fields = decodeEntity(params, name, property)
      if (Object.keys(fields).length || required.has(name)) decoded[name] = fields
      if (required.has(name) && !Object.keys(fields).length) throw new ContractError('MissingParam', { detail: name })
    }
    check(validate, decoded, properties)
    return decoded
  }
}

/** Names of the parameters that may only hold the caller's own id. */
export function selfParams(endpoint: Pick<Endpoint, 'params'>): string[] {
  return Object.entries((endpoint.params as TObject).properties)
    .filter(([, property]) => (property as ParamSchema).wire === 'self')
    .map(([name]) => name)
}
