import { type ConfigOf, isHttpAddress, peerUrl, readPrivateKey, readPublicKey, setting } from '@im/service-kit'
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
  socialUrl: peerUrl('social'),
  orgUrl: peerUrl('org'),
  roomUrl: peerUrl('room'),
  messageUrl: peerUrl('message'),
  pushUrl: peerUrl('push'),
  apiKey: setting.text({
    env: 'API_KEY',
    default: '',
    secret: true,
    description: 'key of the secrets of withdrawals and the macs of message keys, as built into the apps',
  }),
  authKeysMac: setting.choice(['require', 'off'], {
    env: 'AUTHKEYS_MAC',
    default: 'require',
    description: 'off: message keys are taken without a mac (pay keys never are)',
  }),
  paymentProvider: setting.text({
    env: 'PAYMENT_PROVIDER',
    default: 'none',
    pattern: '^(none|sandbox|alipay|wechat|alipay, ?wechat|wechat, ?alipay)$',
    description:
      'none; sandbox credits every recharge at once (refused in production); alipay, wechat or alipay,wechat: real ones',
  }),
  withdrawMinimum: setting.int({
    env: 'WITHDRAW_MINIMUM',
    default: 50,
    minimum: 2,
    description: 'least amount of a withdrawal, in fen',
  }),
  withdrawNeedsPayPassword: setting.flag({
    env: 'WITHDRAW_NEEDS_PAY_PASSWORD',
    default: false,
    description: 'secrets of withdrawals must hold the pay password of users who have one',
  }),
  alipayAppId: setting.optionalText({ env: 'ALIPAY_APP_ID', description: 'app of the merchant' }),
  alipayPrivateKey: setting.optionalText({
    env: 'ALIPAY_PRIVATE_KEY',
    secret: true,
    description: 'private key of the app, PEM or Base64',
  }),
  alipayPublicKey: setting.optionalText({
    env: 'ALIPAY_PUBLIC_KEY',
    description: "Alipay's public key (not that of the app), PEM or Base64",
  }),
  alipaySellerId: setting.optionalText({ env: 'ALIPAY_SELLER_ID', description: 'merchant that payments must be for' }),
  alipayUrl: setting.url({
    env: 'ALIPAY_URL',
    default: 'https://openapi.alipay.com/gateway.do',
    description: 'gateway of Alipay',
  }),
  weChatAppId: setting.optionalText({ env: 'WECHAT_APP_ID', description: 'app of the WeChat login and of WeChat Pay' }),
  weChatAppSecret: setting.optionalText({
    env: 'WECHAT_APP_SECRET',
    secret: true,
    description: 'secret of the app; without it nobody can bind a WeChat account',
  }),
  weChatMerchantId: setting.optionalText({ env: 'WECHAT_MERCHANT_ID', description: 'merchant of WeChat Pay' }),
  weChatMerchantSerial: setting.optionalText({
    env: 'WECHAT_MERCHANT_SERIAL',
    description: 'serial number of the merchant certificate',
  }),
  weChatMerchantKey: setting.optionalText({
    env: 'WECHAT_MERCHANT_KEY',
    secret: true,
    description: 'private key of the merchant certificate, PEM or Base64',
  }),
  weChatPlatformSerial: setting.optionalText({
    env: 'WECHAT_PLATFORM_SERIAL',
    description: "serial number of WeChat's certificate, or PUB_KEY_ID_… of its public key",
  }),
  weChatPlatformKey: setting.optionalText({
    env: 'WECHAT_PLATFORM_KEY',
    description: "WeChat's public key, PEM or Base64",
  }),
  weChatApiKey: setting.optionalText({
    env: 'WECHAT_API_V3_KEY',
    secret: true,
    description: '32 characters; WeChat encrypts notifications with it',
  }),
  weChatTransferScene: setting.text({
    env: 'WECHAT_TRANSFER_SCENE',
    default: '1000',
    description: 'scene that WeChat granted for transfers to users',
  }),
  weChatPayUrl: setting.url({
    env: 'WECHAT_PAY_URL',
    default: 'https://api.mch.weixin.qq.com/',
    description: 'address of WeChat Pay',
  }),
  weChatOAuthUrl: setting.url({
    env: 'WECHAT_OAUTH_URL',
    default: 'https://api.weixin.qq.com/',
    description: 'address of the WeChat login',
  }),
  smsProvider: setting.choice(['console', 'http', 'aliyun', 'tencent', 'none'], {
    env: 'SMS_PROVIDER',
    default: 'console',
    production: 'required',
    description:
      'console writes codes to the log (refused in production); http posts them to SMS_HTTP_URL; aliyun and tencent send them; none sends no codes',
  }),
  smsHttpUrl: setting.optionalText({ env: 'SMS_HTTP_URL', description: 'address of the SMS webhook' }),
  smsHttpKey: setting.optionalText({
    env: 'SMS_HTTP_KEY',
    secret: true,
    description: 'sent to the SMS webhook as bearer token',
  }),
  smsKeyId: setting.optionalText({ env: 'SMS_KEY_ID', description: 'access key of Aliyun or Tencent Cloud' }),
  smsKeySecret: setting.optionalText({ env: 'SMS_KEY_SECRET', secret: true, description: 'secret of the access key' }),
  smsSignName: setting.optionalText({ env: 'SMS_SIGN_NAME', description: 'approved signature of the messages' }),
  smsTemplate: setting.optionalText({
    env: 'SMS_TEMPLATE',
    description: 'approved template with the code as variable',
  }),
  smsTemplateEn: setting.optionalText({
    env: 'SMS_TEMPLATE_EN',
    description: 'template for those who use English; without it SMS_TEMPLATE',
  }),
  smsAppId: setting.optionalText({ env: 'SMS_APP_ID', description: 'SmsSdkAppId of Tencent Cloud' }),
  smsRegion: setting.text({ env: 'SMS_REGION', default: 'ap-guangzhou', description: 'region of Tencent Cloud' }),
  smsUrl: setting.optionalText({ env: 'SMS_URL', description: 'another address than that of Aliyun or Tencent Cloud' }),
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

/** What a provider can't do without. */
const needed: Readonly<Record<string, readonly (keyof typeof settings)[]>> = {
  aliyun: ['smsKeyId', 'smsKeySecret', 'smsSignName', 'smsTemplate'],
  tencent: ['smsKeyId', 'smsKeySecret', 'smsSignName', 'smsTemplate', 'smsAppId'],
  alipay: ['alipayAppId', 'alipayPrivateKey', 'alipayPublicKey'],
  wechat: [
    ...(['weChatAppId', 'weChatMerchantId', 'weChatMerchantSerial', 'weChatMerchantKey'] as const),
    ...(['weChatPlatformSerial', 'weChatPlatformKey', 'weChatApiKey'] as const),
  ],
}

const envOf = (name: keyof typeof settings) => (settings[name] as unknown as { setting: { env: string } }).setting.env

function isReadable(read: (text: string) => unknown, text: string | undefined): boolean {
  try {
    return text === undefined || Boolean(read(text))
  } catch {
    return false
  }
}

export function checkConfig(config: UserConfig): string[] {
  const { nodeEnv, smsProvider, smsHttpUrl, smsEchoCode, consoleAdminPassword, paymentProvider, weChatApiKey } = config
  const problems: string[] = []
  if (smsProvider === 'http' && !(smsHttpUrl && isHttpAddress(smsHttpUrl)))
    problems.push('SMS_HTTP_URL must be the address of the SMS webhook with SMS_PROVIDER=http')
  if (config.smsUrl !== undefined && !isHttpAddress(config.smsUrl))
    problems.push('SMS_URL must be an address such as https://sms.example.com')
  if (smsProvider === 'none' && config.registerRequireSms)
    problems.push('REGISTER_REQUIRE_SMS needs a provider: with SMS_PROVIDER=none nobody gets a code')
  for (const provider of [smsProvider, ...paymentProvider.split(/, ?/)])
    for (const name of needed[provider] ?? [])
      if (!config[name]) problems.push(`${envOf(name)} must be set for ${provider}`)
  for (const name of ['alipayPrivateKey', 'weChatMerchantKey'] as const)
    if (!isReadable(readPrivateKey, config[name])) problems.push(`${envOf(name)} is no private key`)
  for (const name of ['alipayPublicKey', 'weChatPlatformKey'] as const)
    if (!isReadable(readPublicKey, config[name])) problems.push(`${envOf(name)} is no public key`)
  if (weChatApiKey && Buffer.byteLength(weChatApiKey) !== 32) problems.push('WECHAT_API_V3_KEY must have 32 characters')
  if (nodeEnv !== 'production') return problems
  if (paymentProvider === 'sandbox')
    problems.push('PAYMENT_PROVIDER=sandbox gives money to whoever asks and is refused in production')
  if (smsProvider === 'console')
    problems.push('SMS_PROVIDER=console sends codes to nobody but the log and is refused in production')
  if (smsEchoCode === 'true')
    problems.push('SMS_ECHO_CODE=true gives the code of any number to whoever asks and is refused in production')
  if (consoleAdminPassword !== undefined && consoleAdminPassword.length < shortestAdminPassword)
    problems.push(`CONSOLE_ADMIN_PASSWORD must have at least ${shortestAdminPassword} characters in production`)
  return problems
}
