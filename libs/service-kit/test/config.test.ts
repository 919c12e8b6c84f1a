import { ConfigError, describeSettings, loadConfig, peerUrl, serviceConfig, setting } from '@im/service-kit'
import { testEnv } from '@im/service-kit/testing'
import { test } from 'tap'
import { Type } from 'typebox'

const schema = Type.Object({
  port: setting.int({ env: 'PORT', default: 80, minimum: 0, maximum: 65535, description: 'port' }),
  address: setting.url({ env: 'ADDRESS', description: 'address' }),
  mode: setting.choice(['a', 'b'], { env: 'MODE', default: 'a', description: 'mode' }),
  on: setting.flag({ env: 'ON', default: false, description: 'switch' }),
  key: setting.text({ env: 'KEY', default: 'development', secret: true, production: 'required', description: 'key' }),
  note: setting.optionalText({ env: 'NOTE', description: 'note' }),
})

test('settings come typed and complete, with their defaults', async (t) => {
  const config = loadConfig(schema, { ADDRESS: 'http://x', PORT: ' 8080 ', ON: 'yes', NOTE: '' })
  t.strictSame(config, { port: 8080, address: 'http://x', mode: 'a', on: true, key: 'development' })
  t.throws(() => Object.assign(config, { port: 1 }), TypeError)
})

test('every missing and wrong setting is named at once', async (t) => {
  const load = () => loadConfig(schema, { NODE_ENV: 'production', PORT: '99999', MODE: 'c', ON: 'maybe' })
  const { message } = t.throws(load, ConfigError) as Error
  for (const name of ['PORT', 'ADDRESS', 'MODE', 'ON', 'KEY']) t.match(message, new RegExp(`- ${name} `))
  t.equal(message.split('\n').length, 6)
})

test('an address is one of HTTP, and one of a store can be read with its password', async (t) => {
  for (const ADDRESS of ['user:8101', 'ftp://user', 'user', 'http://'])
    t.throws(() => loadConfig(schema, { ADDRESS }), /ADDRESS must be an address/, ADDRESS)
  const { read } = serviceConfig('user', { own: {}, database: false })
  for (const broken of ['a/b', 'a#b', 'a?b', 'a%b'])
    for (const [name, scheme] of [
      ['REDIS_URL', 'redis'],
      ['NATS_URL', 'nats'],
    ] as const) {
      const { message } = t.throws(() => read({ [name]: `${scheme}://im:${broken}@h:1` }), ConfigError) as Error
      t.match(message, new RegExp(`- ${name} must be such as ${scheme}://`), broken)
      t.notMatch(message, broken)
    }
  for (const [name, url] of Object.entries({ REDIS_URL: 'redis://:a,b%2F@h:1/2', NATS_URL: 'nats://im:x%40@a:1, b:2' }))
    t.ok(read({ [name]: url }), url)
})

test('a service under test finds none of the services that may run on this machine', async (t) => {
  t.strictSame(loadConfig(Type.Object({ room: peerUrl('room') }), testEnv()), { room: 'http://127.0.0.1:1' })
})

test('production demands secrets of its own and refuses switched-off limits', async (t) => {
  const { read } = serviceConfig('user', { own: {}, database: false })
  const stores = { REDIS_URL: 'redis://r', NATS_URL: 'nats://n' }
  t.throws(() => read({ NODE_ENV: 'production', ...stores }), /SERVICE_KEY.*\n.*CALLER_KEY/)
  const own = { NODE_ENV: 'production', ...stores, SERVICE_KEY: 'a'.repeat(16), CALLER_KEY: 'b'.repeat(16) }
  t.throws(() => read({ ...own, LIMIT_FACTOR: '0' }), /LIMIT_FACTOR/)
  for (const [weak, why] of [
    ['development-service-key', /SERVICE_KEY is the secret of development/],
    ['a'.repeat(15), /SERVICE_KEY must have at least 16 characters/],
  ] as const)
    t.throws(() => read({ ...own, SERVICE_KEY: weak }), why)
  t.strictSame(read({ SERVICE_KEY: 'a' }).serviceKeys, ['a'], 'in development anything will do')
})

test('an address that others can reach demands secrets of its own, also in development', async (t) => {
  const { read } = serviceConfig('user', { own: {}, database: false })
  for (const HOST of ['127.0.0.1', '127.8.8.8', '::1', 'localhost', ''])
    t.equal(read({ HOST }).nodeEnv, 'development', HOST)
  const own = { SERVICE_KEY: 'a'.repeat(16), CALLER_KEY: 'b'.repeat(16) }
  for (const HOST of ['0.0.0.0', '::', '192.168.1.7', '2001:db8::1', '::ffff:10.0.0.1', 'im.example.com']) {
    t.throws(() => read({ HOST }), /SERVICE_KEY must be set.*\n.*CALLER_KEY must be set/)
    t.throws(() => read({ ...own, HOST, SERVICE_KEY: 'development-service-key' }), /SERVICE_KEY is the secret of/)
    t.throws(() => read({ ...own, HOST, CALLER_KEY: 'short' }), /CALLER_KEY must have at least 16/)
    t.equal(read({ ...own, HOST }).host, HOST)
  }
})

test('the table never shows a secret', async (t) => {
  const key = describeSettings(schema).find(({ name }) => name === 'key')
  t.strictSame([key?.default, key?.production], ['(development only)', true])
})
