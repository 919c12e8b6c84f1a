import { ContractError } from '@im/contracts'
import { type ConfigField, changeableConfigFields, type ServerConfig } from '@im/contracts/user'

const withScheme = /^[a-z][a-z0-9+.-]*:\/\/\S+$/i
/** Apps add a path to these addresses. */
const endsWithSlash = (name: string, field: ConfigField) => field.url === 'base' || name === 'jitsiServer'

/** Checks values that an operator gives (InvalidParams) and returns them as they are stored. */
export function checkConfigValues(values: Partial<ServerConfig>): Partial<ServerConfig> {
  const fields: Readonly<Record<string, ConfigField>> = changeableConfigFields
  const { popularAPP } = values
  if (popularAPP && !isJson(popularAPP)) throw new ContractError('InvalidParams', { detail: 'popularAPP: not JSON' })
  const checked = Object.entries(values).map(([name, value]) => {
    const field = fields[name]
    if (!field?.url || typeof value !== 'string' || (value === '' && field.url === 'any')) return [name, value]
    if (!withScheme.test(value) || !URL.canParse(value))
      throw new ContractError('InvalidParams', { detail: `${name}: not an address with its scheme` })
    return [name, endsWithSlash(name, field) && !value.endsWith('/') ? `${value}/` : value]
  })
  return Object.fromEntries(checked)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
