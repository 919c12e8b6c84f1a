import { test } from 'tap'
import { createLogger, FollowedServers } from '../src/index.ts'
import { eventually } from '../src/testing/index.ts'

const log = createLogger({ service: 'test', level: 'error', format: 'json' })

test('a name stands for all servers that DNS gives it, as they come and go', async (t) => {
  let hosts: { address: string; family: number }[] | undefined = [
    { address: '10.0.0.2', family: 4 },
    { address: '10.0.0.1', family: 4 },
  ]
  const lookUp = async (name: string) => {
    if (!hosts) throw new Error(`${name} is not known`)
    return name === 'xmpp' ? hosts : [{ address: name, family: name.includes(':') ? 6 : 4 }]
  }
  const servers = new FollowedServers({ urls: 'xmpp://xmpp:5347, xmpp://[::1]:15347', log, lookUp })
  t.teardown(() => servers.close())
  await servers.found
  t.strictSame(servers.addresses, ['xmpp://10.0.0.1:5347', 'xmpp://10.0.0.2:5347', 'xmpp://[::1]:15347'])
  hosts = [
    { address: '10.0.0.2', family: 4 },
    { address: '10.0.0.3', family: 4 },
  ]
  await eventually(() => servers.addresses.includes('xmpp://10.0.0.3:5347'), 10_000)
  t.strictSame(servers.addresses, ['xmpp://10.0.0.2:5347', 'xmpp://10.0.0.3:5347', 'xmpp://[::1]:15347'])
})
