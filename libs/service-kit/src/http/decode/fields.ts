import { ContractError } from '@im/contracts'
import type { RawParams } from '../raw-params.ts'
import { isAbsent } from './absent.ts'
import { decodeValue, shortText } from './kinds.ts'
import { decodeList } from './lists.ts'
import type { ParamSchema } from './param-schema.ts'

export type Properties = Record<string, ParamSchema>

const isField = ({ wire }: ParamSchema) => wire !== 'entity' && wire !== 'ignored'

/**
 * Decodes the parameters that are no entities. Required ones come first, in the order of the contract (MissingParam), then
 * the values (transport.md §6). A default stands in for what is absent.
 */
export function decodeFields(
  params: RawParams,
  properties: Properties,
  required: ReadonlySet<string>,
): Record<string, unknown> {
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
    const value =
      values && !isNobody(schema, values, required.has(name)) ? decodeField(name, schema, values) : schema.default
    if (value !== undefined) decoded[name] = value
  }
  return decoded
}

/** True when one of these parameters was sent. */
export const anyGiven = (params: RawParams, properties: Properties): boolean =>
  Object.entries(properties).some(([name, schema]) => isField(schema) && valuesOf(params, name, schema).length > 0)

function decodeField(name: string, schema: ParamSchema, values: readonly unknown[]): unknown {
  const isList = schema.wire === 'list' || schema.wire === 'ids'
  return isList ? decodeList(name, schema, values) : decodeValue(name, schema, values[0])
}

/** 0 is no user: apps send it where they mean "none". */
const isNobody = ({ wire }: ParamSchema, values: readonly unknown[], isRequired: boolean) =>
  wire === 'userId' && !isRequired && shortText(values[0]) === '0'

function valuesOf(params: RawParams, name: string, schema: ParamSchema): unknown[] {
  const values: unknown[] = []
  for (const key of [name, ...(schema.aliases ?? [])])
    for (const value of params.get(key) ?? []) if (!isAbsent(value, schema)) values.push(value)
  return values
}
