import { type AuthRule, isInternalOnly, rulesOf } from '../auth.ts'
import type { Endpoint, Method } from '../contract.ts'
import { failureSchema, oauthFailureSchema, otherAnswers, successAnswer } from './answers.ts'
import { defined, type Json, jsonSchemaOf, sortedByKey } from './json.ts'
import { type WireField, wireFields } from './wire-fields.ts'

export interface OpenApiOptions {
  version?: string
  /** False leaves out the calls between services, for documents that apps read. */
  internal?: boolean
}

const description =
  'Each endpoint is listed once. It takes GET and POST with the same parameters unless `x-methods` says otherwise; query and ' +
  'body (form, multipart or JSON) are merged. All answers have HTTP status 200, errors too: `resultCode` is 1 for success, else ' +
  '0 or at least 1000000. A request that is not valid HTTP, or does not arrive in time, gets 400, 408 or 431 and the same envelope.'

/**
 * Makes the OpenAPI 3.1 document of endpoints: parameters as clients send them, the envelope of the answers, the errors with
 * both texts. The result depends on the arguments alone.
 */
export function openApiDocument(endpoints: readonly Endpoint[], options: OpenApiOptions = {}): Json {
  const shown = endpoints.filter((endpoint) => options.internal !== false || !isInternalOnly(endpoint.auth))
  const paths: Record<string, Json> = {}
  const bodies: Record<string, Json> = {}
  const answers: Record<string, Json> = {}
  for (const endpoint of shown) {
    const key = keyOf(endpoint, endpoint.path)
    const fields = wireFields(endpoint)
    if (takesFields(endpoint)) bodies[key] = bodySchema(fields.filter(({ name }) => !inPath(endpoint.path, name)))
    answers[key] = successAnswer(endpoint)
    for (const path of [endpoint.path, ...(endpoint.aliases ?? [])]) {
      const shownAs = path.replace(/:(\w+)/g, '{$1}')
      paths[shownAs] = { ...paths[shownAs], [methodOf(endpoint).toLowerCase()]: operation(endpoint, path, fields) }
    }
  }
  const usedTags = [...new Set(shown.map(tagOf))].sort()
  return {
    openapi: '3.1.0',
    info: { title: '盈创 IM', version: options.version ?? '1.0.0', description },
    servers: [{ url: '/' }],
    tags: usedTags.map((name) => ({ name })),
    paths: sortedByKey(paths),
    components: {
      securitySchemes: schemesUsed(shown),
      parameters: { language },
      schemas: sortedByKey({ ...bodies, Failure: failureSchema, OAuthFailure: oauthFailureSchema }),
      responses: sortedByKey(answers),
    },
  }
}

const language = {
  name: 'language',
  in: 'query',
  schema: { type: 'string', default: 'zh' },
  description: 'language of resultMsg: en or eg English, anything else Chinese',
}

/** The method an endpoint is shown with: apps post forms. */
const methodOf = ({ methods }: Endpoint): Method => (methods?.includes('POST') === false ? 'GET' : 'POST')
/** True where parameters may stand in the body. */
const takesFields = (endpoint: Endpoint) =>
  methodOf(endpoint) === 'POST' && endpoint.body !== 'raw' && endpoint.body !== 'stream'
const inPath = (path: string, name: string) => path.split('/').includes(`:${name}`)

function operation(endpoint: Endpoint, path: string, fields: readonly WireField[]): Json {
  const key = keyOf(endpoint, endpoint.path)
  const apart = fields.filter(({ name }) => !takesFields(endpoint) || inPath(path, name))
  const parameters: Json[] = apart.map((field) => parameter(field, inPath(path, field.name)))
  if (endpoint.body !== 'form' && !fields.some(({ name }) => name === 'language'))
    parameters.push({ $ref: '#/components/parameters/language' })
  return defined({
    operationId: keyOf(endpoint, path),
    summary: `${endpoint.summary.zh} / ${endpoint.summary.en}`,
    tags: [tagOf(endpoint)],
    security: securityOf(endpoint),
    deprecated: path === endpoint.path ? undefined : true,
    'x-methods': endpoint.methods,
    'x-limits': endpoint.limits,
    'x-audit': endpoint.audit,
    parameters,
    requestBody: requestBody(endpoint, key, fields),
    responses: { '200': { $ref: `#/components/responses/${key}` }, ...otherAnswers(endpoint) },
  })
}

function parameter(field: WireField, isInPath: boolean): Json {
  const { description, ...schema } = field.schema
  const isList = schema['type'] === 'array'
  return defined({
    name: field.name,
    in: isInPath ? 'path' : 'query',
    required: isInPath || field.required || undefined,
    deprecated: field.deprecated,
    description,
    ...(isList ? { style: isInPath ? 'simple' : 'form', explode: false } : {}),
    schema,
  })
}

function requestBody(endpoint: Endpoint, key: string, fields: readonly WireField[]): Json | undefined {
  if (endpoint.body === 'raw') return { content: { '*/*': { schema: {} } } }
  if (methodOf(endpoint) !== 'POST') return undefined
  if (endpoint.body === 'stream') {
    const schema = endpoint.form ? jsonSchemaOf(endpoint.form) : { type: 'object' }
    return { content: { 'multipart/form-data': { schema } } }
  }
  if (!takesFields(endpoint) || !fields.length) return undefined
  const schema = { $ref: `#/components/schemas/${key}` }
  const lists = fields.filter((field) => field.schema['type'] === 'array')
  const encoding = Object.fromEntries(lists.map(({ name }) => [name, { style: 'form', explode: false }]))
  const form = { schema, ...(lists.length ? { encoding } : {}) }
  const others = { 'multipart/form-data': { schema }, 'application/json': { schema } }
  return defined({
    required: fields.some(({ required }) => required) || undefined,
    content: { 'application/x-www-form-urlencoded': form, ...(endpoint.body === 'form' ? {} : others) },
  })
}

function bodySchema(fields: readonly WireField[]): Json {
  const required = fields.filter((field) => field.required).map(({ name }) => name)
  const properties = fields.map(({ name, schema, deprecated }) => [
    name,
    deprecated ? { ...schema, deprecated } : schema,
  ])
  return defined({
    type: 'object',
    properties: Object.fromEntries(properties),
    required: required.length ? required : undefined,
  })
}

const schemes: Record<string, Json> = {
  bearer: { type: 'http', scheme: 'bearer', description: 'access token of login or /oauth2/token' },
  accessToken: {
    type: 'apiKey',
    in: 'query',
    name: 'access_token',
    description: 'the same token as a parameter, in query or form; it wins over the header',
  },
  consoleCookie: {
    type: 'apiKey',
    in: 'cookie',
    name: 'console_token',
    description: 'session of /console/login; what changes something is a POST with X-CSRF-Token',
  },
  mpCookie: {
    type: 'apiKey',
    in: 'cookie',
    name: 'mp_token',
    description: 'session of /mp/login; what changes something is a POST with X-CSRF-Token',
  },
  serviceKey: {
    type: 'apiKey',
    in: 'header',
    name: 'X-Service-Key',
    description: 'calls inside the fleet; from outside only where an endpoint names it',
  },
}

function securityOf({ auth, site }: Endpoint): Json[] {
  const tokens = ['bearer', 'accessToken', ...(site ? [`${site}Cookie`] : [])]
  const ofRule = (rule: AuthRule) => (rule === 'internal' ? ['serviceKey'] : tokens)
  if (auth === 'optional') return [{}, ...tokens.map((name) => ({ [name]: [] }))]
  return [...new Set(rulesOf(auth).flatMap(ofRule))].map((name) => ({ [name]: [] }))
}

function schemesUsed(endpoints: readonly Endpoint[]): Json {
  const used = new Set(endpoints.flatMap(securityOf).flatMap(Object.keys))
  return Object.fromEntries(Object.entries(schemes).filter(([name]) => used.has(name)))
}

/** Service and the first part of the path, which is the feature's name on the wire. */
const tagOf = (endpoint: Endpoint) => `${endpoint.service} ${/^\/[^/]*/.exec(endpoint.path)?.[0] ?? '/'}`

/** GET and POST of one path may be two endpoints. */
function keyOf(endpoint: Endpoint, path: string): string {
  const name = path.replace(/^\//, '').replace(/[^A-Za-z0-9]+/g, '_')
  return methodOf(endpoint) === 'GET' ? `get_${name}` : name
}
