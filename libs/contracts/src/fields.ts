import { type Static, type TObject, type TOptional, type TSchema, Type } from 'typebox'

/**
 * A field of an entity, declared once. Answers, parameters, defaults and documents are derived from a table of fields: a new
 * field is one line.
 */
export interface Field {
  /** As it is stored and answered. */
  readonly type: TSchema
  /** The parameter that sets it. */
  readonly param?: TSchema
  /** The value until one is set. Without a default, the value is given when the entity is made. */
  readonly default?: unknown
}

export type Fields = Readonly<Record<string, Field>>

/** The type of an entity with these fields. */
export type EntityOf<F extends Fields> = Static<TObject<{ -readonly [K in keyof F]: F[K]['type'] }>>

type ParamOf<F extends Field> = F extends { param: infer P extends TSchema } ? P : never

/** Schemas of the fields as answered. */
export const typesOf = <F extends Fields>(fields: F) =>
  mapped(fields, ({ type }) => type) as { -readonly [K in keyof F]: F[K]['type'] }

/** Parameters of an endpoint that makes the entity. Those without a default are required. */
export const makingParams = <F extends Fields>(fields: F) =>
  mapped(fields, ({ param, default: value }) => ({ ...param, ...(value === undefined ? {} : { default: value }) })) as {
    -readonly [K in keyof F]: ParamOf<F[K]>
  }

/** Parameters of an endpoint that changes the entity. All are optional: fields that are not given stay as they are. */
export const changingParams = <F extends Fields>(fields: F) =>
  mapped(fields, ({ param }) => Type.Optional(param ?? Type.Never())) as {
    -readonly [K in keyof F]: TOptional<ParamOf<F[K]>>
  }

/** The defaults of the fields that have one. */
export const defaultsOf = <F extends Fields>(fields: F) =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([name, { default: value }]) => (value === undefined ? [] : [[name, value]])),
  ) as { -readonly [K in keyof F as F[K] extends { default: unknown } ? K : never]: Static<F[K]['type']> }

/** The members of `source` that are in the table of fields. */
export const pickFields = <F extends Fields, S extends object>(fields: F, source: S) =>
  Object.fromEntries(Object.entries(source).filter(([name]) => Object.hasOwn(fields, name))) as Pick<
    S,
    keyof F & keyof S
  >

const mapped = <F extends Fields>(fields: F, map: (field: Field) => TSchema) =>
  Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, map(field)]))
