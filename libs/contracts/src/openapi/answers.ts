import type { Endpoint } from '../contract.ts'
import { errorNames } from '../endpoint-errors.ts'
import { errors } from '../errors.ts'
import { type Json, jsonSchemaOf } from './json.ts'

export const failureSchema: Json = {
  type: 'object',
  properties: {
    currentTime: { type: 'integer', description: 'milliseconds' },
    detailMsg: { type: 'string', description: 'for developers, in English' },
    resultCode: { type: 'integer', not: { const: 1 }, description: '0 or at least 1000000' },
    resultMsg: { type: 'string', description: "text in the request's language" },
  },
  required: ['currentTime', 'resultCode', 'resultMsg'],
}

export const oauthFailureSchema: Json = {
  type: 'object',
  properties: { error: { type: 'string' }, error_description: { type: 'string' } },
  required: ['error'],
}

const failure = { $ref: '#/components/schemas/Failure' }

/** The answer with status 200, which errors have too. The aliases of an endpoint share it. */
export function successAnswer(endpoint: Endpoint): Json {
  const about = { description: describe(endpoint), 'x-errors': errorNames(endpoint) }
  const result = jsonSchemaOf(endpoint.result)
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
  return {
    ...about,
    content: { 'application/json': { schema: { oneOf: [successSchema(endpoint, result), failure] } } },
  }
}

function successSchema({ members }: Endpoint, result: Json): Json {
  const { maybe, ...data } = result
  const hasData = result['type'] !== 'void'
  const more = (members ? jsonSchemaOf(members) : {}) as { properties?: Json; required?: string[] }
  return {
    type: 'object',
    properties: {
      currentTime: { type: 'integer', description: 'milliseconds' },
      ...(hasData ? { data } : {}),
      ...more.properties,
      resultCode: { type: 'integer', const: 1 },
      resultMsg: { type: 'string', description: 'only where the endpoint has a text for its success' },
    },
    required: ['currentTime', ...(hasData && !maybe ? ['data'] : []), ...(more.required ?? []), 'resultCode'],
  }
}

const failures = (described: Record<string, string>): Json =>
  Object.fromEntries(
    Object.entries(described).map(([status, description]) => [
      status,
      { description, content: { 'application/json': { schema: failure } } },
    ]),
  )

const fileAnswers: Json = {
  '206': { description: 'the part that Range asks for' },
  '304': { description: 'what the client has is the newest' },
  ...failures({ '404': 'no such file', '429': 'too many at once', '503': 'try again later' }),
  '416': { description: 'the file has no such part' },
}

/** Answers with another HTTP status. */
export function otherAnswers({ answer, page }: Endpoint): Json {
  if (page) return { '303': { description: `the answer to a form of a browser: ${page}` } }
  if (answer === 'file') return fileAnswers
  if (answer === 'callback')
    return failures({ '400': 'refused', '429': 'too many at once', '503': 'tell it again later' })
  if (answer !== 'oauth') return {}
  const content = { 'application/json': { schema: { $ref: '#/components/schemas/OAuthFailure' } } }
  const described = { '400': 'refused (RFC 6749 §5.2)', '401': 'client refused', '429': 'too many tries' }
  return Object.fromEntries(
    Object.entries({ ...described, '503': 'try again later' }).map(([status, description]) => [
      status,
      { description, content },
    ]),
  )
}

function describe({ answer, errors: own = [] }: Endpoint): string {
  const form = answer && answer !== 'envelope' ? 'Success.' : 'Success or failure, told by resultCode.'
  if (!own.length) return `${form} Errors: the common ones.`
  const rows = own.map((name) => `- ${errors[name].code} ${name}: ${errors[name].zh} / ${errors[name].en}`)
  return `${form} Errors besides the common ones:\n${rows.join('\n')}`
}
