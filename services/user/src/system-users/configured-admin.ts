import type { UserConfig } from '../config.ts'
import { isMd5, md5 } from '../secrets/md5.ts'
import type { ConsoleAdmin } from './seed.ts'

/** The administrator of CONSOLE_ADMIN_TELEPHONE and CONSOLE_ADMIN_PASSWORD (plain or md5). */
export function configuredAdmin(config: UserConfig): ConsoleAdmin {
  const { consoleAdminTelephone: telephone, consoleAdminPassword: password } = config
  return { telephone, passwordMd5: password && (isMd5(password) ? password.toLowerCase() : md5(password)) }
}
