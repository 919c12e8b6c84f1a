import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError, describeSettings, loadConfig, serviceConfig, setting } from '@im/service-kit'
import { Type } from 'typebox'

const schema = Type.Object({
  port: setting.int({ env: 'PORT', default: 80, minimum: 0, maximum: 65535, description: 'port' }),
  address: setting.url({ env: 'ADDRESS', description: 'address' }),
  mode: setting.choice(['a', 'b'], { env: 'MODE', default: 'a', description: 'mode' }),
  on: setting.flag({ env: 'ON', default: false, description: 'switch' }),
  key: setting.text({ env: 'KEY', default: 'development', secret: true, production: 'required', description: 'key' }),
  note: setting.optionalText({ env: 'NOTE', description: 'note' }),
})

test('settings come typed and complete, with their defaults', () => {
  const config = loadConfig(schema, { ADDRESS: 'http://x', PORT: ' 8080 ', ON: 'yes', NOTE: '' })
  assert.deepEqual(config, { port: 8080, address: 'http://x', mode: 'a', on: true, key: 'development' })
  assert.throws(() => Object.assign(config, { port: 1 }), TypeError)
})

test('every missing and wrong setting is named at once', () => {
  const load = () => loadConfig(schema, { NODE_ENV: 'production', PORT: '99999', MODE: 'c', ON: 'maybe' })
  assert.throws(load, (error) => {
    assert.ok(error instanceof ConfigError)
    for (const name of ['PORT', 'ADDRESS', 'MODE', 'ON', 'KEY']) assert.match(error.message, new RegExp(`- ${name} `))
    assert.equal(error.message.split('\n').length, 6)
    return true
  })
})

test('production demands secrets of its own and refuses switched-off limits', () => {
  const { read } = serviceConfig('user', { own: {}, database: false })
  const stores = { REDIS_URL: 'redis://r', NATS_URL: 'nats://n' }
  assert.throws(() => read({ NODE_ENV: 'production', ...stores }), /SERVICE_KEY.*\n.*CALLER_KEY/)
  const own = { NODE_ENV: 'production', ...stores, SERVICE_KEY: 'a'.repeat(16), CALLER_KEY: 'b'.repeat(16) }
  assert.throws(() => read({ ...own, LIMIT_FACTOR: '0' }), /LIMIT_FACTOR/)
  for (const [weak, why] of [
    ['development-service-key', /SERVICE_KEY is the secret of development/],
    ['a'.repeat(15), /SERVICE_KEY must have at least 16 characters/],
  ] as const)
    assert.throws(() => read({ ...own, SERVICE_KEY: weak }), why)
  assert.equal(read({ SERVICE_KEY: 'a' }).serviceKey, 'a', 'in development anything will do')
})

test('the table never shows a secret', () => {
  const key = describeSettings(schema).find(({ name }) => name === 'key')
  assert.deepEqual([key?.default, key?.production], ['(development only)', true])
})
