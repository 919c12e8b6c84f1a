import { Config, clientConfig, configChanged, internalConfig } from '@im/contracts/user'
import { ConfigError } from '@im/service-kit'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { getConfig } from '../src/config/get-config.ts'
import { service } from '../src/service.ts'
import { startUser } from './start-user.ts'

test('apps read the configuration without a token', async (t) => {
  const { api, configure, deps } = await startUser(t, { XMPP_DOMAIN: 'im.test', PUBLIC_API_URL: 'http://api.test' })
  const config = await api.call(clientConfig.getConfig, { access_token: 'dead', area: 'CN' })
  const required = Object.keys(Config.properties).filter((name) => name !== 'popularAPP')
  t.strictSame(Object.keys(config).sort(), required.sort())
  t.equal(config.XMPPDomain, 'im.test')
  t.equal(config.xMPPDomain, 'im.test')
  t.equal(config.apiUrl, 'http://api.test/')
  t.equal(config.audioLen, '20')
  t.equal(config.fileValidTime, -1)

  await configure({ XMPPTimeout: 90, popularAPP: '{"lifeCircle":1}', isAuthApi: 1 })
  const stored = await api.call(clientConfig.getConfig)
  t.equal(stored.xMPPTimeout, 90)
  t.equal(stored.popularAPP, '{"lifeCircle":1}')
  t.ok(!('isAuthApi' in stored) && !('defaultTelephones' in stored))
  const known = [...required, 'popularAPP'].sort()
  t.strictSame(Object.keys(await getConfig(deps)).sort(), known, 'nothing is left to the writer')
})

test('a change of the configuration is announced with the names of what changed, and read at once', async (t) => {
  const { configure, events, internal, otherBus } = await startUser(t)
  const announced = await events(configChanged)
  const told: string[][] = []
  const bus = await otherBus()
  bus.listen(configChanged, ({ changed }) => told.push(changed))
  await bus.ping()
  await configure({ isAuthApi: 1, maxUserSize: 1000, keywords: ['x'] })
  await configure({ isAuthApi: 1, keywords: ['x'] })
  await configure({ recallLimitSeconds: 120 })
  await eventually(() => announced.length >= 2)
  t.strictSame(
    announced.map(({ changed }) => changed),
    [['isAuthApi', 'keywords'], ['recallLimitSeconds']],
  )
  t.strictSame(await eventually(() => told.length >= 2 && told), [['isAuthApi', 'keywords'], ['recallLimitSeconds']])
  const { isAuthApi, keywords, recallLimitSeconds, maxUserSize } = await internal.call(internalConfig.getServerConfig)
  t.strictSame([isAuthApi, keywords, recallLimitSeconds, maxUserSize], [1, ['x'], 120, 1000])
})

test('production starts with no development secret and no switched-off limit', async (t) => {
  const complete = {
    NODE_ENV: 'production',
    SERVICE_KEY: 'a'.repeat(16),
    CALLER_KEY: 'b'.repeat(16),
    MONGODB_URL: 'mongodb://m',
    REDIS_URL: 'redis://r',
    NATS_URL: 'nats://n',
    SESSION_PEPPER: 'ab'.repeat(32),
    SMS_PROVIDER: 'http',
    SMS_HTTP_URL: 'http://sms',
  }
  t.equal(service.readConfig(complete).pepper, 'ab'.repeat(32))
  for (const name of ['SERVICE_KEY', 'CALLER_KEY', 'SESSION_PEPPER', 'SMS_PROVIDER'])
    t.throws(() => service.readConfig({ ...complete, [name]: '' }), { message: new RegExp(name) })
  const known = {
    SERVICE_KEY: 'development-service-key',
    CALLER_KEY: 'development-caller-key',
    SESSION_PEPPER: 'de'.repeat(32),
  }
  for (const [name, secret] of Object.entries(known)) {
    const message = new RegExp(`${name} is the secret of development`)
    t.throws(() => service.readConfig({ ...complete, [name]: secret }), { message })
  }
  t.throws(() => service.readConfig({ ...complete, SERVICE_KEY: 'short' }), /SERVICE_KEY must have at least 16/)
  t.throws(() => service.readConfig({ ...complete, LIMIT_FACTOR: '0' }), ConfigError)
  for (const url of ['', 'sms.example', 'sms.example:80'])
    t.throws(() => service.readConfig({ ...complete, SMS_HTTP_URL: url }), /SMS_HTTP_URL/)
  t.throws(() => service.readConfig({ ...complete, SMS_PROVIDER: 'console' }), /SMS_PROVIDER=console/)
  t.equal(service.readConfig({ ...complete, SMS_PROVIDER: 'none' }).smsProvider, 'none')
  t.throws(
    () => service.readConfig({ ...complete, SMS_PROVIDER: 'none', REGISTER_REQUIRE_SMS: 'true' }),
    /REGISTER_REQUIRE_SMS needs a provider/,
  )
  t.throws(() => service.readConfig({ ...complete, SMS_ECHO_CODE: 'true' }), /SMS_ECHO_CODE=true/)
  t.throws(() => service.readConfig({ ...complete, CONSOLE_ADMIN_PASSWORD: '123456' }), /CONSOLE_ADMIN_PASSWORD/)
})
