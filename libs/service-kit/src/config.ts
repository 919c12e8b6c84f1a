import { type ServiceName, servicePorts } from '@im/contracts'
import ipaddr from 'ipaddr.js'
import { type Static, type TObject, type TProperties, type TSchema, Type } from 'typebox'

/**
 * A setting of a service. The checked config object and the table in docs/configuration.md are derived from it. A service with
 * a bad setting does not start.
 */
export interface SettingOptions<T> {
  /** Name of the environment variable. */
  env: string
  description: string
  /** The value when the variable is unset or empty. A setting without one is required, unless it is optional. */
  default?: T
  /** Never printed. */
  secret?: boolean
  /**
   * `required`: with NODE_ENV=production the default does not count, so the operator must set it. `own-secret`: the default and
   * short values are refused in production, and on any HOST that other machines can reach, because they can be guessed.
   */
  production?: 'required' | 'own-secret'
}

const shortestSecret = 16

const described = (options: SettingOptions<unknown>) => ({ setting: options, description: options.description })

export const setting = {
  /** `example`: what is shown for a value that does not match. */
  text: ({ pattern, example, ...options }: SettingOptions<string> & { pattern?: string; example?: string }) =>
    Type.String({ ...described(options), ...(pattern ? { pattern, example } : {}) }),
  optionalText: (options: Omit<SettingOptions<string>, 'default'>) => Type.Optional(Type.String(described(options))),
  int: (options: SettingOptions<number> & { minimum?: number; maximum?: number }) =>
    Type.Integer({ ...described(options), minimum: options.minimum, maximum: options.maximum }),
  number: (options: SettingOptions<number> & { minimum?: number }) =>
    Type.Number({ ...described(options), minimum: options.minimum }),
  flag: (options: SettingOptions<boolean>) => Type.Boolean(described(options)),
  choice: <const V extends string>(values: readonly V[], options: SettingOptions<V>) =>
    Type.Unsafe<V>({ type: 'string', choices: values, ...described(options) }),
  /** The address of a store, or several separated by commas, with a user and a password in them. */
  store: ({ pattern, example, ...options }: SettingOptions<string> & { pattern: string; example: string }) =>
    Type.String({ ...described(options), pattern, example, store: true }),
  /** An address of HTTP. */
  url: (options: SettingOptions<string>) => Type.String({ ...described(options), url: true }),
  /** Several secrets: the first is used, all are accepted. So they can be changed while the fleet runs. */
  keys: (options: SettingOptions<readonly string[]>) =>
    Type.Unsafe<readonly string[]>({ ...described(options), keys: true }),
}

interface SettingSchema {
  type?: string
  setting?: SettingOptions<unknown>
  choices?: readonly string[]
  minimum?: number
  maximum?: number
  pattern?: string
  example?: string
  url?: boolean
  store?: boolean
  keys?: boolean
}

export interface SettingRow {
  name: string
  env: string
  type: string
  default: string
  required: boolean
  production: boolean
  description: string
}

/** Rows for the generated configuration table. */
export function describeSettings(schema: TObject): SettingRow[] {
  return Object.entries(schema.properties).map(([name, property]) => {
    const { setting: options, type, choices } = property as SettingSchema
    if (!options) throw new Error(`setting ${name} was not declared with setting.*`)
    const optional = !(schema.required as string[] | undefined)?.includes(name)
    return {
      name,
      env: options.env,
      type: choices ? choices.join(' / ') : (type ?? 'string'),
      default: options.default === undefined ? '' : options.secret ? '(development only)' : String(options.default),
      required: options.default === undefined && !optional,
      production: options.production !== undefined,
      description: options.description,
    }
  })
}

export class ConfigError extends Error {
  /** One line for each variable. */
  readonly problems: string[]

  constructor(problems: readonly string[]) {
    super(`The configuration is not complete:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`)
    this.problems = [...problems]
    this.name = 'ConfigError'
  }
}

function parse(schema: SettingSchema, text: string): { value?: unknown; problem?: string } {
  if (schema.keys) return parseKeys(text)
  if (schema.choices) {
    return schema.choices.includes(text) ? { value: text } : { problem: `must be one of ${schema.choices.join(', ')}` }
  }
  if (schema.type === 'integer' || schema.type === 'number') {
    const value = Number(text)
    if (!Number.isFinite(value) || (schema.type === 'integer' && !Number.isInteger(value)))
      return { problem: `must be ${schema.type === 'integer' ? 'a whole number' : 'a number'}` }
    if (schema.minimum !== undefined && value < schema.minimum) return { problem: `must be at least ${schema.minimum}` }
    if (schema.maximum !== undefined && value > schema.maximum) return { problem: `must be at most ${schema.maximum}` }
    return { value }
  }
  if (schema.type === 'boolean') {
    if (/^(1|true|yes|on)$/i.test(text)) return { value: true }
    if (/^(0|false|no|off)$/i.test(text)) return { value: false }
    return { problem: 'must be true or false' }
  }
  if (schema.url && !isHttpAddress(text)) return { problem: 'must be an address such as http://127.0.0.1:8101' }
  if (schema.pattern && !new RegExp(schema.pattern).test(text))
    return { problem: schema.example ? `must be such as ${schema.example}` : `must match ${schema.pattern}` }
  if (schema.store && !isStoreAddress(text) && !text.split(',').every((part) => isStoreAddress(part.trim())))
    return {
      problem: `must be such as ${schema.example}, in the password with %2F for /, %40 for @, %23 for #, %25 for %`,
    }
  return { value: text }
}

/** Not so `user:8101`, which is an address, too: of the protocol `user`. */
export const isHttpAddress = (text: string): boolean => /^https?:\/\//i.test(text) && URL.canParse(text)

/** Whether those who connect can read it: their errors would show the password. */
function isStoreAddress(text: string): boolean {
  const url = URL.parse(/^\w+:\/\//.test(text) ? text : `store://${text}`)
  try {
    return url !== null && decodeURIComponent(url.username + url.password) !== undefined
  } catch {
    return false
  }
}

function parseKeys(text: string): { value?: string[]; problem?: string } {
  const keys = text.split(',').map((key) => key.trim())
  return keys.every(Boolean) ? { value: keys } : { problem: 'holds an empty key' }
}

function weakness({ production, default: known }: SettingOptions<unknown>, value: unknown): string | undefined {
  if (production !== 'own-secret') return undefined
  const secrets = [value].flat() as string[]
  if (secrets.some((secret) => [known].flat().includes(secret)))
    return 'is the secret of development, which everybody knows'
  return secrets.some(({ length }) => length < shortestSecret)
    ? `must have at least ${shortestSecret} characters`
    : undefined
}

/** Whether the service listens on an address that other machines can reach. */
function isReachable(env: NodeJS.ProcessEnv): boolean {
  const host = env['HOST']?.trim() || '127.0.0.1'
  if (host === 'localhost') return false
  return !ipaddr.isValid(host) || ipaddr.process(host).range() !== 'loopback'
}

/** Reads the settings of `schema` from `env`. Throws one ConfigError that names every missing or wrong variable. */
export function loadConfig<T extends TObject>(schema: T, env: NodeJS.ProcessEnv): Static<T> {
  const production = env['NODE_ENV'] === 'production'
  const needsOwnSecrets = production || isReachable(env)
  const problems: string[] = []
  const config: Record<string, unknown> = {}
  for (const [name, property] of Object.entries<TSchema>(schema.properties)) {
    const shape = property as SettingSchema
    const options = shape.setting
    if (!options) throw new Error(`setting ${name} was not declared with setting.*`)
    const raw = env[options.env]?.trim()
    if (raw) {
      const { value, problem: unreadable } = parse(shape, raw)
      const problem = unreadable ?? (needsOwnSecrets ? weakness(options, value) : undefined)
      if (problem) problems.push(`${options.env} ${problem} (${options.description})`)
      config[name] = value
    } else if (options.production && production) {
      problems.push(`${options.env} must be set in production (${options.description})`)
    } else if (options.production === 'own-secret' && needsOwnSecrets) {
      problems.push(`${options.env} must be set unless HOST is a loopback address (${options.description})`)
    } else if (options.default !== undefined) {
      config[name] = options.default
    } else if ((schema.required as string[] | undefined)?.includes(name)) {
      problems.push(`${options.env} is not set (${options.description})`)
    }
  }
  if (problems.length) throw new ConfigError(problems)
  return Object.freeze(config) as Static<T>
}

/** Settings that every service has. */
const commonSettings = {
  nodeEnv: setting.choice(['development', 'production', 'test'], {
    env: 'NODE_ENV',
    default: 'development',
    description: 'production refuses the secrets and switches of development',
  }),
  logLevel: setting.choice(['trace', 'debug', 'info', 'warn', 'error', 'silent'], {
    env: 'LOG_LEVEL',
    default: 'info',
    description: 'least level that is logged',
  }),
  logFormat: setting.choice(['json', 'pretty'], {
    env: 'LOG_FORMAT',
    default: 'json',
    description: 'one JSON object a line, or lines for people',
  }),
  host: setting.text({
    env: 'HOST',
    default: '127.0.0.1',
    description: 'address to listen on; any but a loopback address needs secrets of its own',
  }),
  namespace: setting.text({
    env: 'NAMESPACE',
    default: 'im',
    pattern: '^[a-z][a-z0-9-]{0,30}$',
    description: 'prefix of databases, cache keys, subjects and streams: several fleets can share the servers',
  }),
  serviceKeys: setting.keys({
    env: 'SERVICE_KEY',
    default: ['development-service-key'],
    secret: true,
    production: 'own-secret',
    description: 'secret of calls between services and from the XMPP server; `new,old` while it is changed',
  }),
  callerKeys: setting.keys({
    env: 'CALLER_KEY',
    default: ['development-caller-key'],
    secret: true,
    production: 'own-secret',
    description: 'secret that signs the caller header between gateway and services; `new,old` while it is changed',
  }),
  limitFactor: setting.number({
    env: 'LIMIT_FACTOR',
    default: 1,
    minimum: 0,
    description: 'multiplies every limit; 0 switches them off (not in production)',
  }),
  traceEndpoint: Type.Optional(
    setting.url({
      env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
      description: 'address of an OpenTelemetry collector (OTLP over HTTP, port 4318); without it nothing is traced',
    }),
  ),
  traceShare: setting.number({
    env: 'OTEL_TRACES_SAMPLER_ARG',
    default: 1,
    minimum: 0,
    description: 'share of traces that are kept, 0 to 1',
  }),
  drainSeconds: setting.int({
    env: 'DRAIN_SECONDS',
    default: 0,
    minimum: 0,
    description:
      'how long a service that is to end still takes calls, with answers that send their callers to other replicas; 5 and more where there are others',
  }),
  shutdownSeconds: setting.int({
    env: 'SHUTDOWN_SECONDS',
    default: 15,
    minimum: 1,
    description: 'how long a graceful end may take after that before it is forced',
  }),
}

const mongoSettings = {
  mongodbUrl: setting.text({
    env: 'MONGODB_URL',
    default: 'mongodb://127.0.0.1:27017/?directConnection=true',
    pattern: '^mongodb(\\+srv)?://[^/?]+',
    example: 'mongodb://host:27017/?replicaSet=rs0',
    description: 'MongoDB replica set (transactions are needed)',
    secret: true,
    production: 'required',
  }),
}

const redisSettings = {
  redisUrl: setting.store({
    env: 'REDIS_URL',
    default: 'redis://127.0.0.1:6379',
    pattern: '^rediss?://[^/?]+',
    example: 'redis://:password@host:6379',
    description: 'Redis, for sessions, limits and leases',
    secret: true,
    production: 'required',
  }),
}

const natsSettings = {
  natsUrl: setting.store({
    env: 'NATS_URL',
    default: 'nats://127.0.0.1:4222',
    pattern: '^(nats|tls)://[^/,]+(, *((nats|tls)://)?[^/,]+)*$',
    example: 'nats://user:password@host:4222',
    description: 'NATS with JetStream, nats://user:password@host:4222; several addresses separated by commas',
    secret: true,
    production: 'required',
  }),
  natsReplicas: setting.int({
    env: 'NATS_REPLICAS',
    default: 1,
    minimum: 1,
    maximum: 5,
    description: 'replicas of each JetStream stream',
  }),
}

/** The address of another service: `<NAME>_URL`. */
export const peerUrl = (service: ServiceName) =>
  setting.url({
    env: `${service.toUpperCase()}_URL`,
    default: `http://127.0.0.1:${servicePorts[service]}`,
    description: `address of the ${service} service`,
  })

const portSetting = (service: ServiceName) => ({
  port: setting.int({
    env: 'PORT',
    default: servicePorts[service],
    minimum: 0,
    maximum: 65535,
    description: 'port to listen on',
  }),
})

const sharedSettings = {
  ...commonSettings,
  ...redisSettings,
  ...natsSettings,
  ...portSetting('gateway'),
}

export type ServiceConfig = Static<TObject<typeof sharedSettings>>
export type DatabaseConfig = Static<TObject<typeof mongoSettings>>
/** Config of a service with settings `S` of its own. */
export type ConfigOf<S extends TProperties> = ServiceConfig & Static<TObject<S>>
export type ServiceSettings = TObject

/** The settings of a service, its own and those of every service, and the function that reads them. */
export function serviceConfig(
  service: ServiceName,
  options: { own: TProperties; database: boolean },
): {
  settings: ServiceSettings
  read(env: NodeJS.ProcessEnv, check?: (config: ServiceConfig) => string[]): ServiceConfig
} {
  const settings = Type.Object({
    ...sharedSettings,
    ...(options.database ? mongoSettings : {}),
    ...portSetting(service),
    ...options.own,
  })
  return {
    settings,
    read(env, check) {
      const config = loadConfig(settings, env) as ServiceConfig
      const problems = [...unsafeCombinations(config), ...(check?.(config) ?? [])]
      if (problems.length) throw new ConfigError(problems)
      return config
    },
  }
}

/** Problems of settings that are fine alone and not together. */
function unsafeCombinations({ nodeEnv, limitFactor }: ServiceConfig): string[] {
  if (nodeEnv === 'production' && limitFactor === 0)
    return ['LIMIT_FACTOR=0 switches all limits off and is refused in production']
  return []
}
