import { ConfigError } from '@im/service-kit'
import { test } from 'tap'
import { service } from '../src/service.ts'

const complete = {
  NODE_ENV: 'production',
  SERVICE_KEY: 'a'.repeat(16),
  CALLER_KEY: 'b'.repeat(16),
  API_KEY: 'c'.repeat(16),
  REDIS_URL: 'redis://r',
  NATS_URL: 'nats://n',
  TRUSTED_PROXIES: 'none',
}

test('in production somebody must have said which proxies are believed', (t) => {
  t.equal(service.readConfig(complete).nodeEnv, 'production', '`none` says it')
  for (const list of [undefined, '', ' '])
    t.throws(() => service.readConfig({ ...complete, TRUSTED_PROXIES: list }), {
      name: 'ConfigError',
      message: /TRUSTED_PROXIES must be set in production/,
    })
  t.end()
})

test('what is no list of addresses and networks is refused before anything is connected', (t) => {
  for (const list of ['10.0.0.0/33', 'proxy.example', 'none,10.0.0.1'])
    t.throws(() => service.readConfig({ ...complete, TRUSTED_PROXIES: list }), /TRUSTED_PROXIES: /, list)
  for (const list of ['10.0.0.1', '10.0.0.0/8, fd00::/8', 'loopback']) {
    const { trustedProxies } = service.readConfig({ ...complete, TRUSTED_PROXIES: list }) as { trustedProxies?: string }
    t.equal(trustedProxies, list)
  }
  t.throws(() => service.readConfig({ ...complete, SERVICE_KEY: '' }), ConfigError)
  t.end()
})
