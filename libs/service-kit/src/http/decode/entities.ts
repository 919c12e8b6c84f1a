import { ContractError } from '@im/contracts'
import { addValue, maxFields, type RawParams } from '../raw-params.ts'
import { anyGiven, decodeFields } from './fields.ts'
import { readJson } from './kinds.ts'
import { invalid, type ParamSchema } from './param-schema.ts'

/**
 * Decodes an entity: its fields as parameters of their own, over those of the JSON text or object under its name. Undefined
 * when no field was given; else the entity's required fields must be there.
 */
export function decodeEntity(
  params: RawParams,
  name: string,
  schema: ParamSchema,
  isRequired: boolean,
): Record<string, unknown> | undefined {
  const properties = schema.properties ?? {}
  const merged = withNestedFields(params, name)
  const isGiven = anyGiven(merged, properties)
  if (!isGiven && !isRequired) return undefined
  const fields = decodeFields(merged, properties, new Set(schema.required))
  if (!isGiven) throw new ContractError('MissingParam', { detail: name })
  return fields
}

/** The parameters, and behind them the fields of the JSON texts and objects that stand under the entity's name. */
function withNestedFields(params: RawParams, name: string): RawParams {
  const nested = (params.get(name) ?? []).map((value) => objectOf(name, value)).filter((fields) => fields !== undefined)
  if (!nested.length) return params
  const merged: RawParams = new Map([...params].map(([key, values]) => [key, [...values]]))
  let count = 0
  for (const fields of nested)
    for (const [field, member] of Object.entries(fields)) {
      if (++count > maxFields) throw new ContractError('RequestTooLarge', { detail: name })
      if (member !== null) addValue(merged, field, member)
    }
  return merged
}

/** Undefined for a blank text. */
function objectOf(name: string, value: unknown): object | undefined {
  if (typeof value === 'string' && value.trim() === '') return undefined
  const nested = readJson(name, value)
  if (typeof nested !== 'object' || nested === null || Array.isArray(nested)) throw invalid(name, 'not a JSON object')
  return nested
}
