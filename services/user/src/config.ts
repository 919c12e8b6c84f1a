import { type ConfigOf, setting } from '@im/service-kit'
import { Type } from 'typebox'

const switchText = ['auto', 'true', 'false'] as const

/** Settings of the user service, also the source of docs/configuration.md. */
export const settings = {
  pepper: setting.text({
    env: 'SESSION_PEPPER',
    default: 'de'.repeat(32),
    pattern: '^[0-9a-fA-F]{64}$',
    secret: true,
    production: 'own-secret',
    description: '32 bytes as hex; keys the hashes of codes, which are too short to be hashed alone',
  }),
  payMacKey: Type.Optional(
    setting.text({
      env: 'PAY_MAC_KEY',
      pattern: '^[0-9a-fA-F]{64}$',
      secret: true,
      description:
        '32 bytes as hex; encrypts stored pay passwords for checks that need the md5; without it these checks are off',
    }),
  ),
  smsProvider: setting.choice(['console', 'http'], {
    env: 'SMS_PROVIDER',
    default: 'console',
    production: 'required',
    description: 'console writes codes to the log (refused in production); http posts them to SMS_HTTP_URL',
  }),
  smsHttpUrl: setting.optionalText({ env: 'SMS_HTTP_URL', description: 'address of the SMS webhook' }),
  smsHttpKey: setting.optionalText({
    env: 'SMS_HTTP_KEY',
    secret: true,
    description: 'sent to the SMS webhook as bearer token',
  }),
  smsEchoCode: setting.choice(switchText, {
    env: 'SMS_ECHO_CODE',
    default: 'auto',
    description: 'answer sendSms with the code; auto: only with SMS_PROVIDER=console; refused in production',
  }),
  smsImageCode: setting.choice(switchText, {
    env: 'SMS_IMAGE_CODE',
    default: 'auto',
    description: 'sendSms needs an image code; auto: only with a real provider',
  }),
  registerRequireSms: setting.flag({
    env: 'REGISTER_REQUIRE_SMS',
    default: false,
    description: 'registration needs an SMS code',
  }),
  allowPublicRegister: setting.flag({
    env: 'ALLOW_PUBLIC_REGISTER',
    default: false,
    description: 'anyone may register a public account (userType 2)',
  }),
  xmppDomain: setting.text({ env: 'XMPP_DOMAIN', default: 'im.localhost', description: 'XMPP domain' }),
  xmppHost: setting.text({
    env: 'XMPP_HOST',
    default: '127.0.0.1',
    description: 'host where apps reach the XMPP server at port 5222',
  }),
  publicApiUrl: setting.url({
    env: 'PUBLIC_API_URL',
    default: 'http://127.0.0.1:8092/',
    description: 'address of the API as apps see it',
  }),
  publicUploadUrl: setting.url({
    env: 'PUBLIC_UPLOAD_URL',
    default: 'http://127.0.0.1:8092/',
    description: 'address of uploads as apps see it',
  }),
  publicFileUrl: setting.url({
    env: 'PUBLIC_FILE_URL',
    default: 'http://127.0.0.1:8092/',
    description: 'address of files as apps see it',
  }),
  publicAvatarUrl: setting.url({
    env: 'PUBLIC_AVATAR_URL',
    default: 'http://127.0.0.1:8092/',
    description: 'address of avatars as apps see it',
  }),
  argon2MemoryKib: setting.int({
    env: 'ARGON2_MEMORY_KIB',
    default: 19_456,
    minimum: 8,
    description: 'Argon2id memory; weaker stored hashes are renewed at login',
  }),
  argon2Passes: setting.int({ env: 'ARGON2_PASSES', default: 2, minimum: 1, description: 'Argon2id passes' }),
  argon2Lanes: setting.int({ env: 'ARGON2_LANES', default: 1, minimum: 1, description: 'Argon2id lanes' }),
  hashConcurrency: setting.int({
    env: 'HASH_CONCURRENCY',
    default: 2,
    minimum: 1,
    maximum: 64,
    description: 'password hashes computed at the same time; the others wait',
  }),
  hashQueue: setting.int({
    env: 'HASH_QUEUE',
    default: 300,
    minimum: 1,
    description: 'password hashes that may wait; beyond it callers are told to try again',
  }),
  consoleAdminTelephone: setting.optionalText({
    env: 'CONSOLE_ADMIN_TELEPHONE',
    description:
      'telephone (area code 86) or user name of the console administrator; an account that has it needs the password below',
  }),
  consoleAdminPassword: setting.optionalText({
    env: 'CONSOLE_ADMIN_PASSWORD',
    secret: true,
    description: 'password of the administrator: the account is made with it, or accepted by it',
  }),
}

export type UserConfig = ConfigOf<typeof settings>

const shortestAdminPassword = 8

export function checkConfig(config: UserConfig): string[] {
  const { nodeEnv, smsProvider, smsHttpUrl, smsEchoCode, consoleAdminPassword } = config
  const problems: string[] = []
  if (smsProvider === 'http' && !(smsHttpUrl && URL.canParse(smsHttpUrl)))
    problems.push('SMS_HTTP_URL must be the address of the SMS webhook with SMS_PROVIDER=http')
  if (nodeEnv !== 'production') return problems
  if (smsProvider === 'console')
    problems.push('SMS_PROVIDER=console sends codes to nobody but the log and is refused in production')
  if (smsEchoCode === 'true')
    problems.push('SMS_ECHO_CODE=true gives the code of any number to whoever asks and is refused in production')
  if (consoleAdminPassword !== undefined && consoleAdminPassword.length < shortestAdminPassword)
    problems.push(`CONSOLE_ADMIN_PASSWORD must have at least ${shortestAdminPassword} characters in production`)
  return problems
}
