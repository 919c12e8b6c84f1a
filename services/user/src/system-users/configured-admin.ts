import { ContractError } from '@im/contracts'
import { ConfigError } from '@im/service-kit'
import type { UserConfig } from '../config.ts'
import type { Deps } from '../deps.ts'
import { isMd5, md5 } from '../secrets/md5.ts'
import { type ConsoleAdmin, makeAdmin } from './make-admin.ts'

/** The administrator of CONSOLE_ADMIN_TELEPHONE and CONSOLE_ADMIN_PASSWORD (plain or md5); undefined when one is not set. */
export function configuredAdmin({
  consoleAdminTelephone: telephone,
  consoleAdminPassword: password,
}: UserConfig): ConsoleAdmin | undefined {
  if (!telephone || !password) return undefined
  return { telephone, passwordMd5: isMd5(password) ? password.toLowerCase() : md5(password) }
}

/** Makes the configured administrator at the start. Throws ConfigError when somebody else has the name. */
export async function makeConfiguredAdmin(deps: Deps): Promise<void> {
  const admin = configuredAdmin(deps.config)
  if (!admin) return
  try {
    await makeAdmin(deps, admin)
  } catch (error) {
    if (!(error instanceof ContractError)) throw error
    if (error.errorName === 'TelephoneInvalid')
      throw new ConfigError(['CONSOLE_ADMIN_TELEPHONE must be a telephone of area code 86 or a user name'])
    if (error.errorName === 'TelephoneTaken')
      throw new ConfigError([
        'CONSOLE_ADMIN_TELEPHONE belongs to an account that is no administrator and has another password than ' +
          'CONSOLE_ADMIN_PASSWORD: name another one, or the password of that account if it is yours',
      ])
    throw error
  }
}
