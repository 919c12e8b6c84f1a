import { type ContractError, type Endpoint, type Language, type ResultOf, WrittenRows } from '@im/contracts'
import fastJson from 'fast-json-stringify'
import type { TSchema } from 'typebox'
import { lazily } from './lazily.ts'

export const jsonType = 'application/json;charset=UTF-8'

/** Writes the envelope of a success, a long list as bytes. Only fields that the contract's schemas name are written. */
export type EnvelopeWriter = (data: unknown, text?: string, members?: object) => string | Buffer

/** From so many rows on a list is written row by row. */
const longList = 100

function sorted(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(sorted)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(schema))
    copy[key] =
      key === 'properties' && value
        ? Object.fromEntries(
            Object.entries(value as object)
              .sort(([a], [b]) => (a < b ? -1 : 1))
              .map(([name, property]) => [name, sorted(property)]),
          )
        : sorted(value)
  return copy
}

/** Compiles its schemas at the first answer, as `compileDecoder` does. */
export function compileWriter(endpoint: Pick<Endpoint, 'result' | 'members'>): EnvelopeWriter {
  const writeData = serialiser(endpoint.result)
  const writeMembers = endpoint.members && serialiser(endpoint.members)
  const writeRow = rowSerialiser(endpoint)
  return (data, text, members) => {
    const message = text === undefined ? '' : `,"resultMsg":${JSON.stringify(text)}`
    const others = writeMembers && members ? `,${writeMembers(members).slice(1, -1)}` : ''
    const [head, tail] = [`{"currentTime":${Date.now()},`, `"resultCode":1${message}${others}}`]
    if (data instanceof WrittenRows)
      return Buffer.concat([Buffer.from(`${head}"data":[`), data.bytes, Buffer.from(`],${tail}`)])
    if (writeRow && Array.isArray(data) && data.length >= longList)
      return bytesOf(`${head}"data":[`, data, writeRow, `],${tail}`)
    const dataMember = writeData && data !== undefined ? `"data":${writeData(data)},` : ''
    return head + dataMember + tail
  }
}

/** Writes one row of an endpoint's list, for `WrittenRows`. Only fields that the contract's schema names are written. */
export type RowWriter<E extends Endpoint> = (row: ResultOf<E> extends readonly (infer Row)[] ? Row : never) => string

export function compileRowWriter<E extends Endpoint>(endpoint: E): RowWriter<E> {
  const write = rowSerialiser(endpoint)
  if (!write) throw new Error(`${endpoint.path} does not answer a list`)
  return write
}

function rowSerialiser({ result }: Pick<Endpoint, 'result'>): ((row: unknown) => string) | undefined {
  const { type, items } = result as TSchema & { type?: string; items?: TSchema }
  return type === 'array' && items && !Array.isArray(items) ? serialiser(items) : undefined
}

/**
 * A text whose middle are rows with commas between. To make one text of a thousand rows, and then bytes of it, takes ten times as long as to
 * write the rows.
 */
function bytesOf(head: string, rows: readonly unknown[], write: (row: unknown) => string, tail: string): Buffer {
  let bytes = Buffer.allocUnsafe(256 * 1024)
  let length = 0
  const add = (text: string) => {
    // UTF-8 takes three bytes for a UTF-16 unit at most.
    while (bytes.length - length < 3 * text.length) bytes = Buffer.concat([bytes], 2 * bytes.length)
    length += bytes.write(text, length)
  }
  add(head)
  for (const [index, row] of rows.entries()) add(index ? `,${write(row)}` : write(row))
  add(tail)
  return bytes.subarray(0, length)
}

/** Undefined where a success has no data. */
function serialiser(declared: TSchema): ((value: unknown) => string) | undefined {
  const schema = JSON.parse(JSON.stringify(declared)) as { type?: string }
  if (schema.type === 'void' || 'x-raw' in schema) return undefined
  const write = lazily(() => fastJson(sorted(schema) as Parameters<typeof fastJson>[0]))
  return (value) => write()(value)
}

export function failureBody(error: ContractError, language: Language): string {
  return JSON.stringify({
    currentTime: Date.now(),
    detailMsg: error.detail,
    resultCode: error.code,
    resultMsg: error.textIn(language),
  })
}
