import type { Endpoint } from '@im/contracts'
import { Ajv, type ValidateFunction } from 'ajv'
import { lazily } from '../lazily.ts'
import type { RawParams } from '../raw-params.ts'
import { decodeEntity } from './entities.ts'
import { decodeFields, type Properties } from './fields.ts'
import { invalid, type ParamSchema } from './param-schema.ts'

export type Decoder = (params: RawParams) => Record<string, unknown>

/** Ranges, lengths, patterns and choices. Members of JSON values that their schema does not name are dropped. */
const ajv = new Ajv({ strict: false })
const pruning = new Ajv({ strict: false, removeAdditional: 'all' })

/**
 * Makes the decoder of an endpoint. Its schemas are compiled at the first call: a service has up to a hundred endpoints, and
 * starts half a second sooner. Parameters are judged in this order (transport.md §6): required ones as the contract lists them
 * (MissingParam), then types and ranges (InvalidParams, RequestTooLarge), each with the parameter's name.
 */
export function compileDecoder(endpoint: Pick<Endpoint, 'params' | 'path'>): Decoder {
  const schema = JSON.parse(JSON.stringify(endpoint.params)) as ParamSchema
  const properties = schema.properties ?? {}
  const required = new Set(schema.required)
  const entities = Object.entries(properties).filter(([, property]) => property.wire === 'entity')
  for (const [name, property] of Object.entries(properties))
    if (!property.wire)
      throw new Error(`${endpoint.path}: parameter ${name} has no wire kind; use the types of param-types.ts`)
  const validator = lazily(() => ajv.compile(schema))
  const prunes = Object.entries(properties)
    .filter(([, property]) => property.wire === 'json' && property.checked)
    .map(([name, property]) => [name, lazily(() => pruning.compile(property))] as const)
  return (params) => {
    const decoded = decodeFields(params, properties, required)
    for (const [name, property] of entities) {
      const fields = decodeEntity(params, name, property, required.has(name))
      if (fields) decoded[name] = fields
    }
    for (const [name, prune] of prunes) if (decoded[name] !== undefined) prune()(decoded[name])
    check(validator(), decoded, properties)
    return decoded
  }
}

function check(validate: ValidateFunction, value: unknown, properties: Properties): void {
  if (validate(value)) return
  const error = validate.errors?.[0]
  const [, outer = '', inner] = error?.instancePath.split('/') ?? []
  const name =
    (properties[outer]?.wire === 'entity' && inner) || outer || String(error?.params['missingProperty'] ?? 'parameter')
  throw invalid(name, error?.message ?? 'not valid')
}

/** Names of the parameters that may only hold the caller's own id. */
export function selfParams(endpoint: Pick<Endpoint, 'params'>): string[] {
  return Object.entries(endpoint.params.properties)
    .filter(([, property]) => (property as ParamSchema).wire === 'self')
    .map(([name]) => name)
}
