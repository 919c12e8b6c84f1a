import type { TSchema } from 'typebox'
import { type Auth, type AuthRule, rulesOf } from './auth.ts'
import type { Endpoint } from './contract.ts'
import { commonErrors, type ErrorName, errors } from './errors.ts'
import type { WireKind } from './param-types.ts'

/** A JSON value under construction. */
type Json = Record<string, unknown>

interface ParamSchema {
  wire: WireKind
  type?: string
  description?: string
  default?: unknown
  aliases?: readonly string[]
  properties?: Record<string, TSchema>
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  maxItems?: number
  pattern?: string
  enum?: unknown[]
  empty?: string
}

/** A field of the query or the form, as it travels. */
interface WireField {
  name: string
  schema: Json
  required: boolean
  deprecated?: boolean
}

export interface OpenApiOptions {
  version?: string
  /** Calls between services too (left out where apps read the document). */
  internal?: boolean
}

function tokenErrors(auth: Auth): ErrorName[] {
  const rules = rulesOf(auth)
  if (!rules.length) return []
  return rules.every((rule) => rule === 'internal')
    ? ['PermissionDenied']
    : ['TokenMissing', 'TokenInvalid', 'PermissionDenied']
}

const tokenSchemes: Json[] = [{ bearer: [] }, { accessToken: [] }]
const schemesOf = (rule: AuthRule): Json[] => (rule === 'internal' ? [{ serviceKey: [] }] : tokenSchemes)

function security(auth: Auth): Json[] {
  if (auth === 'optional') return [{}, ...tokenSchemes]
  return [...new Set(rulesOf(auth).flatMap(schemesOf))]
}

const listNote = 'JSON array, comma list, one value, or repeated parameter'
const wireNotes: Partial<Record<WireKind, string>> = {
  flag: '0 or 1; true and false are accepted',
  self: "only the caller's own id; absent, 0 and empty mean the caller",
  oid: '24 hex digits',
  roomRef: 'room id (24 hex) or room jid',
  ids: `user ids: ${listNote}`,
  list: listNote,
  json: 'JSON text',
  longId: '64-bit integer',
}

/**
 * The OpenAPI 3.1 document of endpoints: parameters as the wire takes them, the envelope of the answers, the errors with
 * both texts. Depends on nothing but its arguments.
 */
export function openApiDocument(endpoints: readonly Endpoint[], options: OpenApiOptions = {}): Json {
  const shown = endpoints.filter((endpoint) => options.internal !== false || endpoint.auth !== 'internal')
  const paths: Record<string, Json> = {}
  const bodies: Record<string, Json> = {}
  const answers: Record<string, Json> = {}
  for (const endpoint of shown) {
    const key = keyOf(endpoint.path)
    const fields = wireFields(endpoint)
    bodies[key] = bodySchema(fields)
    answers[key] = successAnswer(endpoint)
    for (const path of [endpoint.path, ...(endpoint.aliases ?? [])])
      paths[path.replace(/:(\w+)/g, '{$1}')] = pathItem(endpoint, path, key, fields)
  }
  const usedTags = [...new Set(shown.map(tagOf))].sort()
  return {
    openapi: '3.1.0',
    info: {
      title: '盈创 IM',
      version: options.version ?? '1.0.0',
      description:
        'GET and POST work for every path unless one is missing here; query and body are merged. Answers have HTTP status 200, ' +
        'errors too: `resultCode` is 1 for success, else 0 or at least 1000000.',
    },
    servers: [{ url: '/' }],
    tags: usedTags.map((name) => ({ name })),
    paths: sortedByKey(paths),
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'access token of login or /oauth2/token' },
        accessToken: {
          type: 'apiKey',
          in: 'query',
          name: 'access_token',
          description: 'the same token as a parameter, in query or form; it wins over the header',
        },
        serviceKey: {
          type: 'apiKey',
          in: 'header',
          name: 'X-Service-Key',
          description: 'calls inside the fleet only; the gateway routes none of them',
        },
      },
      parameters: {
        language: {
          name: 'language',
          in: 'query',
          schema: { type: 'string', default: 'zh' },
          description: 'language of resultMsg: en or eg English, anything else Chinese',
        },
      },
      schemas: sortedByKey({ ...bodies, Failure: failureSchema, OAuthFailure: oauthFailureSchema }),
      responses: sortedByKey(answers),
    },
  }
}

function pathItem(endpoint: Endpoint, path: string, key: string, fields: WireField[]): Json {
  const inPath = new Set([...path.matchAll(/:(\w+)/g)].map((match) => match[1]))
  const item: Json = {}
  for (const method of endpoint.methods ?? ['GET', 'POST']) {
    const common = {
      operationId: `${method.toLowerCase()}_${keyOf(path)}`,
      summary: `${endpoint.summary.zh} / ${endpoint.summary.en}`,
      tags: [tagOf(endpoint)],
      security: security(endpoint.auth),
      ...(path === endpoint.path ? {} : { deprecated: true }),
      ...(endpoint.limits ? { 'x-limits': endpoint.limits } : {}),
    }
    const placed = method === 'GET' ? fields : fields.filter(({ name }) => inPath.has(name))
    const parameters: Json[] = placed.map((field) => parameter(field, inPath.has(field.name)))
    if (!fields.some(({ name }) => name === 'language')) parameters.push({ $ref: '#/components/parameters/language' })
    const responses = { '200': { $ref: `#/components/responses/${key}` }, ...otherStatuses(endpoint) }
    item[method.toLowerCase()] = {
      ...common,
      parameters,
      ...(method === 'POST' && fields.length ? { requestBody: requestBody(key, fields) } : {}),
      responses,
    }
  }
  return item
}

function parameter(field: WireField, inPath: boolean): Json {
  const isList = field.schema['type'] === 'array'
  const { description, ...schema } = field.schema
  return {
    name: field.name,
    in: inPath ? 'path' : 'query',
    ...(inPath || field.required ? { required: true } : {}),
    ...(field.deprecated ? { deprecated: true } : {}),
    ...(description ? { description } : {}),
    ...(isList ? { style: inPath ? 'simple' : 'form', explode: false } : {}),
    schema,
  }
}

function requestBody(key: string, fields: WireField[]): Json {
  const schema = { $ref: `#/components/schemas/${key}` }
  const lists = fields.filter((field) => field.schema['type'] === 'array')
  const encoding = Object.fromEntries(lists.map(({ name }) => [name, { style: 'form', explode: false }]))
  return {
    ...(fields.some(({ required }) => required) ? { required: true } : {}),
    content: {
      'application/x-www-form-urlencoded': { schema, ...(lists.length ? { encoding } : {}) },
      'multipart/form-data': { schema },
      'application/json': { schema },
    },
  }
}

function bodySchema(fields: WireField[]): Json {
  const required = fields.filter((field) => field.required).map(({ name }) => name)
  const properties = fields.map(({ name, schema, deprecated }) => [
    name,
    deprecated ? { ...schema, deprecated } : schema,
  ])
  return { type: 'object', properties: Object.fromEntries(properties), ...(required.length ? { required } : {}) }
}

/** Parameters under every name they are accepted by. An entity stands as its flat fields and as JSON under its own name. */
function wireFields(endpoint: Endpoint): WireField[] {
  const fields = new Map<string, WireField>()
  const add = (field: WireField) => fields.has(field.name) || fields.set(field.name, field)
  const required = new Set((endpoint.params as { required?: string[] }).required ?? [])
  const entities: [string, ParamSchema][] = []
  for (const [name, property] of Object.entries(endpoint.params.properties)) {
    const schema = plain(property) as unknown as ParamSchema
    if (schema.wire === 'entity') entities.push([name, schema])
    else for (const field of namesOf(name, schema, required.has(name) && schema.default === undefined)) add(field)
  }
  for (const [name, schema] of entities) {
    const members = Object.entries(schema.properties ?? {}).map(
      ([member, property]) => [member, plain(property)] as const,
    )
    for (const [member, memberSchema] of members)
      for (const field of namesOf(member, memberSchema as unknown as ParamSchema, false)) add(field)
    const nested = members.map(([member, memberSchema]) => [member, wireSchema(memberSchema as unknown as ParamSchema)])
    const description = [schema.description, 'the fields above as one JSON object; flat fields win'].filter(Boolean)
    add({
      name,
      required: false,
      schema: {
        type: 'string',
        contentMediaType: 'application/json',
        contentSchema: { type: 'object', properties: Object.fromEntries(nested) },
        description: description.join('; '),
      },
    })
  }
  return [...fields.values()]
}

function namesOf(name: string, schema: ParamSchema, required: boolean): WireField[] {
  const aliases = schema.aliases ?? []
  const wire = wireSchema(schema)
  return [
    // With another name to give it under, the name itself can't be demanded.
    { name, schema: wire, required: required && aliases.length === 0 },
    ...aliases.map((alias) => ({
      name: alias,
      schema: { ...wire, description: `same as ${name}` },
      required: false,
      deprecated: true,
    })),
  ]
}

/** What a client sends, where the contract's schema says what a handler receives. */
function wireSchema(schema: ParamSchema): Json {
  const { minimum, maximum, minLength, maxLength, maxItems } = schema
  const note = [schema.description, wireNotes[schema.wire]].filter(Boolean).join('; ')
  const common = {
    ...(note ? { description: note } : {}),
    ...(schema.default === undefined ? {} : { default: schema.default }),
  }
  const range = defined({ minimum, maximum })
  switch (schema.wire) {
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
      return { type: 'array', items: { type: 'integer', minimum: 1 }, ...defined({ maxItems }), ...common }
    case 'list':
      return { type: 'array', items: { type: 'string' }, ...defined({ maxItems }), ...common }
    case 'json':
      return { type: 'string', contentMediaType: 'application/json', ...common }
    case 'pwd':
      return { type: 'string', format: 'password', ...common }
    case 'entity':
      return { type: 'object', ...common }
    case 'ignored':
      return { type: 'string', ...common }
    case 'text':
    case 'roomRef':
    case 'userRef':
      return { type: 'string', ...defined({ minLength, maxLength, pattern: schema.pattern }), ...common }
  }
}

const failureSchema: Json = {
  type: 'object',
  properties: {
    currentTime: { type: 'integer', description: 'milliseconds' },
    detailMsg: { type: 'string', description: 'for developers, in English' },
    resultCode: { type: 'integer', description: '0 or at least 1000000' },
    resultMsg: { type: 'string', description: "text in the request's language" },
  },
  required: ['currentTime', 'resultCode', 'resultMsg'],
}

const oauthFailureSchema: Json = {
  type: 'object',
  properties: { error: { type: 'string' }, error_description: { type: 'string' } },
  required: ['error'],
}

/** The 200 answer, with the errors: they come as 200 too. Methods and aliases of an endpoint share it. */
function successAnswer(endpoint: Endpoint): Json {
  const about = {
    description: describe(endpoint),
    'x-errors': errorNames(endpoint).map((name) => ({ name, ...errors[name] })),
  }
  const result = plain(endpoint.result)
  const failure = {
    allOf: [
      { $ref: '#/components/schemas/Failure' },
      { properties: { resultCode: { enum: errorNames(endpoint).map((name) => errors[name].code) } } },
    ],
  }
  const raw = result['x-raw'] as string | undefined
  if (endpoint.answer === 'oauth') return { ...about, content: { 'application/json': { schema: { type: 'object' } } } }
  if (raw)
    return {
      ...about,
      content:
        raw === 'application/json'
          ? { [raw]: { schema: {} } }
          : { [raw]: { schema: { type: 'string' } }, 'application/json': { schema: failure } },
    }
  const hasData = result['type'] !== 'void'
  const success = {
    type: 'object',
    properties: {
      currentTime: { type: 'integer', description: 'milliseconds' },
      ...(hasData ? { data: result } : {}),
      resultCode: { type: 'integer', const: 1 },
      resultMsg: { type: 'string', description: 'only where the endpoint has a text for its success' },
    },
    required: ['currentTime', ...(hasData ? ['data'] : []), 'resultCode'],
  }
  return {
    ...about,
    content: { 'application/json': { schema: { oneOf: [success, failure] } } },
  }
}

function otherStatuses(endpoint: Endpoint): Json {
  if (endpoint.answer !== 'oauth') return {}
  const content = { 'application/json': { schema: { $ref: '#/components/schemas/OAuthFailure' } } }
  const described = { '400': 'refused (RFC 6749 §5.2)', '401': 'client refused', '429': 'too many tries' }
  return Object.fromEntries(
    Object.entries({ ...described, '503': 'try again later' }).map(([status, description]) => [
      status,
      { description, content },
    ]),
  )
}

/** Errors an endpoint may answer with: the common ones, those of its kind of caller, its own. */
export function errorNames(endpoint: Endpoint): ErrorName[] {
  return [...new Set([...(endpoint.errors ?? []), ...tokenErrors(endpoint.auth), ...commonErrors])]
}

function describe(endpoint: Endpoint): string {
  const own = endpoint.errors ?? []
  const form = endpoint.answer === 'oauth' ? 'Success.' : 'Success or failure, told by resultCode.'
  if (!own.length) return `${form} Errors: the common ones.`
  const rows = own.map((name) => `- ${errors[name].code} ${name}: ${errors[name].zh} / ${errors[name].en}`)
  return `${form} Errors besides the common ones:\n${rows.join('\n')}`
}

/** Service and the first part of the path, which is the feature's name on the wire. */
const tagOf = (endpoint: Endpoint) => `${endpoint.service} ${/^\/[^/]*/.exec(endpoint.path)?.[0] ?? '/'}`
const keyOf = (path: string) => path.replace(/^\//, '').replace(/[^A-Za-z0-9]+/g, '_')
const plain = (schema: TSchema) => JSON.parse(JSON.stringify(schema)) as Json
const defined = (fields: Json) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
const sortedByKey = <T>(record: Record<string, T>) =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
