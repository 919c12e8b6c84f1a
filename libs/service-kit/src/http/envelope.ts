import type { ContractError, Endpoint, Language } from '@im/contracts'
import fastJson from 'fast-json-stringify'
import type { TSchema } from 'typebox'
import { lazily } from './lazily.ts'

export const jsonType = 'application/json;charset=UTF-8'

/** Writes the envelope of a success. Only fields that the contract's schemas name are written. */
export type EnvelopeWriter = (data: unknown, text?: string, members?: object) => string

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
  return (data, text, members) => {
    const dataMember = writeData && data !== undefined ? `"data":${writeData(data)},` : ''
    const message = text === undefined ? '' : `,"resultMsg":${JSON.stringify(text)}`
    const others = writeMembers && members ? `,${writeMembers(members).slice(1, -1)}` : ''
    return `{"currentTime":${Date.now()},${dataMember}"resultCode":1${message}${others}}`
  }
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
