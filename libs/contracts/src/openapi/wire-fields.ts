import type { Endpoint } from '../contract.ts'
import type { WireKind } from '../param-types.ts'
import { defined, type Json, jsonSchemaOf } from './json.ts'

/** A field of the path, the query or the form, as clients send it. */
export interface WireField {
  name: string
  schema: Json
  required: boolean
  deprecated?: boolean
}

interface ParamSchema {
  wire: WireKind
  type?: string
  description?: string
  default?: unknown
  aliases?: readonly string[]
  properties?: Record<string, Json>
  required?: readonly string[]
  items?: Json
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  maxItems?: number
  pattern?: string
  enum?: readonly unknown[]
  commas?: boolean
  checked?: boolean
}

/** The parameters under every name they are accepted by. An entity is listed as its flat fields and as JSON under its name. */
export function wireFields({ params }: Pick<Endpoint, 'params'>): WireField[] {
  const fields = new Map<string, WireField>()
  const add = (field: WireField) => fields.has(field.name) || fields.set(field.name, field)
  const required = new Set((params as { required?: string[] }).required ?? [])
  const entities: [string, ParamSchema][] = []
  for (const [name, property] of Object.entries(params.properties)) {
    const schema = jsonSchemaOf(property) as unknown as ParamSchema
    if (schema.wire === 'entity') entities.push([name, schema])
    else for (const field of namesOf(name, schema, required.has(name) && schema.default === undefined)) add(field)
  }
  for (const [name, schema] of entities) for (const field of entityFields(name, schema)) add(field)
  return [...fields.values()]
}

function entityFields(name: string, schema: ParamSchema): WireField[] {
  const members = Object.entries(schema.properties ?? {}).map(
    ([member, property]) => [member, property as unknown as ParamSchema] as const,
  )
  const description = [schema.description, 'the fields above as one JSON object; flat fields win'].filter(Boolean)
  const nested = Object.fromEntries(members.map(([member, property]) => [member, wireSchema(property)]))
  const whole = {
    type: 'string',
    contentMediaType: 'application/json',
    contentSchema: defined({ type: 'object', properties: nested, required: schema.required }),
    description: description.join('; '),
  }
  return [
    ...members.flatMap(([member, property]) => namesOf(member, property, false)),
    { name, required: false, schema: whole },
  ]
}

function namesOf(name: string, schema: ParamSchema, required: boolean): WireField[] {
  const aliases = schema.aliases ?? []
  const wire = wireSchema(schema)
  return [
    // The parameter may be given under an alias, so this name alone can't be required.
    { name, schema: wire, required: required && aliases.length === 0 },
    ...aliases.map((alias) => ({
      name: alias,
      schema: { ...wire, description: `same as ${name}` },
      required: false,
      deprecated: true,
    })),
  ]
}

const listNote = 'JSON array, comma list, one value, or repeated parameter'
const wireNotes: Partial<Record<WireKind, string>> = {
  flag: '0 or 1; true and false are accepted',
  self: "only the caller's own id; absent, 0 and empty mean the caller",
  oid: '24 hex digits',
  roomRef: 'room id (24 hex) or room jid',
  ids: `user ids: ${listNote}`,
  json: 'JSON text',
  longId: '64-bit integer',
}

function noteOf({ wire, commas }: ParamSchema): string | undefined {
  if (wire !== 'list') return wireNotes[wire]
  return commas === false ? 'JSON array or repeated parameter' : listNote
}

/** The schema of what a client sends. The contract's own schema describes what the handler receives. */
function wireSchema(schema: ParamSchema): Json {
  const { wire, minimum, maximum, minLength, maxLength, maxItems, pattern } = schema
  const note = [schema.description, noteOf(schema)].filter(Boolean).join('; ')
  const common = defined({ description: note || undefined, default: schema.default })
  const range = defined({ minimum, maximum, enum: wire === 'int' ? schema.enum : undefined })
  switch (wire) {
    case 'int':
    case 'userId':
    case 'self':
    case 'page':
      return { type: 'integer', ...range, ...common }
    case 'longId':
      return { type: 'integer', format: 'int64', ...common }
    case 'double':
    case 'days':
    case 'time':
      return { type: 'number', ...range, ...common }
    case 'flag':
      return { type: 'integer', enum: minimum === -1 ? [-1, 0, 1] : [0, 1], ...common }
    case 'oid':
      return { type: 'string', pattern: '^[0-9a-fA-F]{24}$', ...common }
    case 'ids':
    case 'list':
      return {
        type: 'array',
        items: wireSchema((schema.items ?? { wire: 'text' }) as unknown as ParamSchema),
        ...defined({ maxItems }),
        ...common,
      }
    case 'json':
      return { type: 'string', contentMediaType: 'application/json', ...contentOf(schema), ...common }
    case 'pwd':
      return { type: 'string', format: 'password', ...common }
    case 'entity':
      return { type: 'object', ...common }
    case 'ignored':
      return { type: 'string', ...common }
    case 'text':
    case 'roomRef':
    case 'userRef':
      return { type: 'string', ...defined({ minLength, maxLength, pattern }), ...common }
  }
}

function contentOf(schema: ParamSchema): Json {
  if (!schema.checked) return {}
  const {
    wire: _wire,
    checked: _checked,
    description: _description,
    default: _default,
    aliases: _aliases,
    ...content
  } = schema
  return { contentSchema: content }
}
