import { ContractError } from '@im/contracts'
import { parseJson } from './parse-json.ts'

/** Values of each parameter in the order of precedence: query first, then body. JSON values keep their type. */
export type RawParams = Map<string, unknown[]>

function add(params: RawParams, name: string, value: unknown): void {
  const values = params.get(name)
  if (values) values.push(value)
  else params.set(name, [value])
}

const maxFields = 5000

function addForm(params: RawParams, text: string): void {
  // Half a million of "a&" fit in a body and would keep the process busy for seconds.
  let fields = 1
  for (let at = text.indexOf('&'); at >= 0; at = text.indexOf('&', at + 1))
    if (++fields > maxFields)
      throw new ContractError('RequestTooLarge', { detail: `more than ${maxFields} parameters` })
  // The URL standard's form parser takes a stray % and raw UTF-8 literally, which is what the wire asks for.
  for (const [name, value] of new URLSearchParams(text)) add(params, name, value)
}

function addJson(params: RawParams, text: string): void {
  let value: unknown
  try {
    value = parseJson(text)
  } catch {
    throw new ContractError('InvalidParams', { detail: 'the body is not valid JSON' })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ContractError('InvalidParams', { detail: 'the body must be one JSON object' })
  for (const [name, member] of Object.entries(value)) if (member !== null) add(params, name, member)
}

async function addMultipart(params: RawParams, body: Uint8Array, contentType: string): Promise<void> {
  let form: FormData
  try {
    form = await new Response(body as Uint8Array<ArrayBuffer>, { headers: { 'content-type': contentType } }).formData()
  } catch {
    throw new ContractError('InvalidParams', { detail: 'the multipart body could not be read' })
  }
  for (const [name, value] of form) if (typeof value === 'string') add(params, name, value)
}

/**
 * Merges query and body into one set of parameters (transport.md §1). A body without a known content type is read as form.
 * Nothing in a form is an error; a broken JSON or multipart body is InvalidParams.
 */
export async function readParams(
  query: string,
  contentType: string | undefined,
  body: Uint8Array | undefined,
): Promise<RawParams> {
  const params: RawParams = new Map()
  if (query) addForm(params, query)
  if (body?.length) {
    if (contentType && /^\s*application\/([\w.+-]*\+)?json/i.test(contentType)) addJson(params, utf8(body))
    else if (contentType && /^\s*multipart\/form-data/i.test(contentType)) await addMultipart(params, body, contentType)
    else addForm(params, utf8(body))
  }
  return params
}

const utf8 = (body: Uint8Array) => Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')

/** First non-empty text of a parameter. */
export function firstText(params: RawParams, name: string): string | undefined {
  for (const value of params.get(name) ?? []) {
    if (typeof value === 'string' && value.trim() !== '') return value
    if (typeof value === 'number') return String(value)
  }
  return undefined
}
