import { test } from 'tap'
import { createLogger, FollowedServers } from '../src/index.ts'
import { eventually } from '../src/testing/index.ts'

const log = createLogger({ service: 'test', level: 'error', format: 'json' })

test('a name stands for all servers that DNS gives it, as they come and go, whatever becomes of other names', async (t) => {
  let hosts = [
    { address: '10.0.0.2', family: 4 },
    { address: '10.0.0.1', family: 4 },
  ]
  const known = new Set(['xmpp', 'once', '::1'])
  const lookUp = async (name: string) => {
    if (!known.has(name)) throw new Error(`${name} is not known`)
    if (name === 'once') known.delete(name)
    return name === 'xmpp' ? hosts : [{ address: name, family: name.includes(':') ? 6 : 4 }]
  }
  const servers = new FollowedServers({
    urls: 'xmpp://lost:5347, xmpp://xmpp:5347, xmpp://[::1]:15347, xmpp://once:5347',
    log,
    lookUp,
  })
  t.teardown(() => servers.close())
  await servers.found
  t.strictSame(servers.addresses, [
    'xmpp://10.0.0.1:5347',
    'xmpp://10.0.0.2:5347',
    'xmpp://[::1]:15347',
    'xmpp://once:5347',
  ])
  hosts = [
    { address: '10.0.0.2', family: 4 },
    { address: '10.0.0.3', family: 4 },
  ]
  await eventually(() => servers.addresses.includes('xmpp://10.0.0.3:5347'), 10_000)
  t.strictSame(servers.addresses, [
    'xmpp://10.0.0.2:5347',
    'xmpp://10.0.0.3:5347',
    'xmpp://[::1]:15347',
    'xmpp://once:5347',
  ])
})
