import { ownServer } from '@im/service-kit/testing'
import { test } from 'tap'
import { natsServers } from '../src/events/nats-servers.ts'
import { envelope, ownNamespace, startRuntime } from './runtime.ts'

test('a password in NATS_URL is used, and needed', async (t) => {
  const server = await ownServer(t, 'nats')
  if (!server) return
  await server.kill()
  await server.start('--user', 'im', '--pass', 'p@ss/word')
  const withPassword = server.url.replace('//', `//im:${encodeURIComponent('p@ss/word')}@`)
  const { bus } = await startRuntime(t, ownNamespace(t, { NATS_URL: withPassword }))
  await bus.publish(envelope(1))
  await t.rejects(
    startRuntime(t, ownNamespace(t, { NATS_URL: server.url })),
    /refuses the user or the password of NATS_URL/,
  )
  await t.rejects(
    startRuntime(t, ownNamespace(t, { NATS_URL: withPassword.replace('nats:', 'tls:') })),
    /does not answer \(server does not support 'tls'\)/,
    'no password goes to a server without TLS where TLS was asked for',
  )
})

test('addresses of NATS', async (t) => {
  t.strictSame(natsServers('nats://a:4222, b:4222'), { servers: ['nats://a:4222', 'b:4222'] })
  t.strictSame(natsServers('nats://im:x%40y@a:4222,tls://im:x%40y@b'), {
    servers: ['nats://a:4222', 'tls://b'],
    tls: {},
    user: 'im',
    pass: 'x@y',
  })
})
