import { ContractError } from '@im/contracts'
import { readMultipartFields } from './multipart.ts'
import { parseJson } from './parse-json.ts'

/** Values of each parameter in the order of precedence: query first, then body. JSON values keep their type. */
export type RawParams = Map<string, unknown[]>

/** A body could hold half a million fields, which would keep the process busy for seconds. */
export const maxFields = 5000

export function addValue(params: RawParams, name: string, value: unknown): void {
  const values = params.get(name)
  if (values) values.push(value)
  else params.set(name, [value])
}

/**
 * Merges query and body into one set of parameters (transport.md §1). A body without a known content type is read as a form.
 * Every text is a valid form; a broken JSON or multipart body is InvalidParams.
 */
export async function readParams(
  query: string,
  contentType: string | undefined,
  body: Uint8Array | undefined,
): Promise<RawParams> {
  const params: RawParams = new Map()
  if (query) addForm(params, query)
  if (!body?.length) return params
  if (contentType && /^\s*application\/([\w.+-]*\+)?json/i.test(contentType)) addJson(params, utf8(body))
  else if (contentType && /^\s*multipart\/form-data/i.test(contentType))
    await readMultipartFields(body, contentType, maxFields, (name, value) => addValue(params, name, value))
  else addForm(params, utf8(body))
  return params
}

/**
 * Reads a urlencoded body as RFC 6749 §3.2 wants it: no query, no other content type, no name twice.
 */
export function readStrictForm(
  query: string,
  contentType: string | undefined,
  body: Uint8Array | undefined,
): RawParams {
  const refuse = (detail: string) => new ContractError('InvalidParams', { detail })
  if (query) throw refuse('parameters must be in the body, not in the query')
  if (contentType && !/^\s*application\/x-www-form-urlencoded\s*(;|$)/i.test(contentType))
    throw refuse('the body must be application/x-www-form-urlencoded')
  const params: RawParams = new Map()
  if (body?.length) addForm(params, utf8(body))
  for (const [name, values] of params) if (values.length > 1) throw refuse(`${name} is given more than once`)
  return params
}

function addForm(params: RawParams, text: string): void {
  let fields = 1
  for (let at = text.indexOf('&'); at >= 0; at = text.indexOf('&', at + 1)) if (++fields > maxFields) throw tooMany()
  // The form parser of the URL standard takes a stray % and raw UTF-8 literally, as old apps need it.
  for (const [name, value] of new URLSearchParams(withBlanks(text))) addValue(params, name, value)
}

/** Replaces each `+` by a blank, because URLSearchParams needs 100 ms for a million of them. */
function withBlanks(text: string): string {
  if (!text.includes('+')) return text
  const bytes = Buffer.from(text)
  for (let at = bytes.indexOf(plus); at >= 0 && at < bytes.length; at++) if (bytes[at] === plus) bytes[at] = blank
  return bytes.toString()
}

const [plus, blank] = [0x2b, 0x20]

function addJson(params: RawParams, text: string): void {
  const value = jsonOf(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ContractError('InvalidParams', { detail: 'the body must be one JSON object' })
  const members = Object.entries(value)
  if (members.length > maxFields) throw tooMany()
  for (const [name, member] of members) if (member !== null) addValue(params, name, member)
}

function jsonOf(text: string): unknown {
  try {
    return parseJson(text)
  } catch {
    throw new ContractError('InvalidParams', { detail: 'the body is not valid JSON' })
  }
}

const tooMany = () => new ContractError('RequestTooLarge', { detail: `more than ${maxFields} parameters` })

const utf8 = (body: Uint8Array) => Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')

/** First non-empty text of a parameter. */
export function firstText(params: RawParams, name: string): string | undefined {
  for (const value of params.get(name) ?? []) {
    if (typeof value === 'string' && value.trim() !== '') return value
    if (typeof value === 'number') return String(value)
  }
  return undefined
}
