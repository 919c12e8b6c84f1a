import type { ContractError, Endpoint, Language } from '@im/contracts'
import fastJson from 'fast-json-stringify'

export const jsonType = 'application/json;charset=UTF-8'

/** Serialises `data` by the contract's result schema: a field it does not name never leaves. */
export type DataWriter = (data: unknown) => string

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

/** Undefined for an endpoint whose success has no `data` member. */
export function compileWriter(endpoint: Pick<Endpoint, 'result'>): DataWriter | undefined {
  const schema = JSON.parse(JSON.stringify(endpoint.result)) as { type?: string }
  if (schema.type === 'void' || 'x-raw' in schema) return undefined
  return fastJson(sorted(schema) as Parameters<typeof fastJson>[0])
}

export function successBody(write: DataWriter | undefined, data: unknown, text: string | undefined): string {
  const member = write && data !== undefined ? `"data":${write(data)},` : ''
  const message = text === undefined ? '' : `,"resultMsg":${JSON.stringify(text)}`
  return `{"currentTime":${Date.now()},${member}"resultCode":1${message}}`
}

export function failureBody(error: ContractError, language: Language): string {
  return JSON.stringify({
    currentTime: Date.now(),
    detailMsg: error.detail,
    resultCode: error.code,
    resultMsg: error.textIn(language),
  })
}

/** `en` and `eg` are English, everything else Chinese (transport.md §6). */
export function languageOf(value: string | undefined): Language {
  return value === 'en' || value === 'eg' ? 'en' : 'zh'
}

const requestIdForm = /^[A-Za-z0-9._-]{1,64}$/

/** An incoming id when it is of the allowed form, else undefined. */
export function acceptedRequestId(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && requestIdForm.test(header) ? header : undefined
}
