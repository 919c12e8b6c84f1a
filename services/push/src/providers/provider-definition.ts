import type { Logger, OptionalRedis } from '@im/service-kit'
import type { Static, TObject, TProperties } from 'typebox'
import { type Access, AccessToken } from './access-token.ts'
import { HttpClient } from './http-client.ts'
import type { Provider } from './provider.ts'

/** Settings of all providers. */
export interface CommonConfig {
  pushCa?: string
  pushTimeoutMs: number
  pushConcurrency: number
}

/** What providers are made with. */
export class ProviderTools {
  readonly config: CommonConfig
  readonly now: () => number
  readonly log: Logger
  readonly #redis: OptionalRedis

  constructor(options: { config: CommonConfig; now: () => number; log: Logger; optionalRedis: OptionalRedis }) {
    this.config = options.config
    this.now = options.now
    this.log = options.log
    this.#redis = options.optionalRedis
  }

  http(baseUrl: string): HttpClient {
    const { pushCa: ca, pushTimeoutMs: timeoutMs, pushConcurrency: connections } = this.config
    return new HttpClient({ baseUrl, ca, timeoutMs, connections })
  }

  access(options: { provider: string; credential: string; renew: () => Promise<Access> }): AccessToken {
    return new AccessToken({ ...options, redis: this.#redis, now: this.now })
  }
}

/** A vendor: its settings and how its providers are made of them. */
export interface ProviderDefinition<S extends TProperties = TProperties> {
  vendor: string
  settings: S
  /** Sets of settings of which one is enough. Where some of a set are given and none is whole, the service does not start. */
  needs: readonly (readonly (keyof S & string)[])[]
  /** Problems of settings that are there. */
  check?(config: Static<TObject<S>>): string[]
  create(config: Static<TObject<S>>, tools: ProviderTools): Provider[]
}

export const defineProvider = <const S extends TProperties>(definition: ProviderDefinition<S>) => definition

type AnyConfig = Readonly<Record<string, unknown>>

const isSet = (config: AnyConfig, name: string) => config[name] !== undefined && config[name] !== ''

/** The environment variable of a setting. */
const envOf = (settings: TProperties, name: string) =>
  (settings[name] as unknown as { setting: { env: string } }).setting.env

export function isConfigured({ needs }: Pick<ProviderDefinition, 'needs'>, config: AnyConfig): boolean {
  return needs.some((names) => names.every((name) => isSet(config, name)))
}

/** Half a configuration is a mistake: one line for each variable that is missing. */
export function configProblems<S extends TProperties>(definition: ProviderDefinition<S>, config: AnyConfig): string[] {
  const { vendor, settings, needs, check } = definition
  if (isConfigured(definition as never, config)) return check?.(config as Static<TObject<S>>) ?? []
  const given = (names: readonly string[]) => names.filter((name) => isSet(config, name)).length
  const nearest = needs.toSorted((one, other) => given(other) - given(one))[0] ?? []
  if (given(nearest) === 0) return []
  return nearest
    .filter((name) => !isSet(config, name))
    .map((name) => `${envOf(settings, name)} must be set to push through ${vendor}`)
}
