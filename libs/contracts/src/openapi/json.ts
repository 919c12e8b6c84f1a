import type { TSchema } from 'typebox'

/** A JSON value under construction. */
export type Json = Record<string, unknown>

export const jsonSchemaOf = (schema: TSchema) => JSON.parse(JSON.stringify(schema)) as Json

/** A copy without the members that are undefined. */
export const defined = (fields: Json): Json =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

export const sortedByKey = <T>(record: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
