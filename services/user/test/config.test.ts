import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Config, clientConfig } from '@im/contracts/user'
import { ConfigError } from '@im/service-kit'
import { service } from '../src/service.ts'
import { startUser } from './start-user.ts'

test('apps read the configuration without a token', async (t) => {
  const { api, configure } = await startUser(t, { XMPP_DOMAIN: 'im.test', PUBLIC_API_URL: 'http://api.test' })
  const config = await api.call(clientConfig.getConfig, { access_token: 'dead', area: 'CN' })
  const required = Object.keys(Config.properties).filter((name) => name !== 'popularAPP')
  assert.deepEqual(Object.keys(config).sort(), required.sort())
  assert.equal(config.XMPPDomain, 'im.test')
  assert.equal(config.xMPPDomain, 'im.test')
  assert.equal(config.apiUrl, 'http://api.test/')
  assert.equal(config.audioLen, '20')
  assert.equal(config.fileValidTime, -1)

  await configure({ XMPPTimeout: 90, popularAPP: '{"lifeCircle":1}', isAuthApi: 1 })
  const stored = await api.call(clientConfig.getConfig)
  assert.equal(stored.xMPPTimeout, 90)
  assert.equal(stored.popularAPP, '{"lifeCircle":1}')
  assert.ok(!('isAuthApi' in stored) && !('defaultTelephones' in stored))
})

test('production starts with no development secret and no switched-off limit', () => {
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
  assert.equal(service.readConfig(complete).pepper, 'ab'.repeat(32))
  for (const name of ['SERVICE_KEY', 'CALLER_KEY', 'SESSION_PEPPER', 'SMS_PROVIDER'])
    assert.throws(() => service.readConfig({ ...complete, [name]: '' }), { message: new RegExp(name) })
  const known = {
    SERVICE_KEY: 'development-service-key',
    CALLER_KEY: 'development-caller-key',
    SESSION_PEPPER: 'de'.repeat(32),
  }
  for (const [name, secret] of Object.entries(known)) {
    const message = new RegExp(`${name} is the secret of development`)
    assert.throws(() => service.readConfig({ ...complete, [name]: secret }), { message })
  }
  assert.throws(() => service.readConfig({ ...complete, SERVICE_KEY: 'short' }), /SERVICE_KEY must have at least 16/)
  assert.throws(() => service.readConfig({ ...complete, LIMIT_FACTOR: '0' }), ConfigError)
  assert.throws(() => service.readConfig({ ...complete, SMS_HTTP_URL: '' }), /SMS_HTTP_URL/)
})
