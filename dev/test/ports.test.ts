import { createServer } from 'node:net'
import { test } from 'tap'
import { freePort, requirePorts } from '../src/machine/ports.ts'
import { portsFromEnvironment } from '../src/settings.ts'

test('a taken port is named with its owner and the setting that changes it', async (t) => {
  const port = await freePort()
  const holder = createServer().listen(port, '127.0.0.1')
  t.after(() => holder.close())
  await new Promise((resolve) => holder.once('listening', resolve))
  const free = { port: await freePort(), purpose: 'Redis', setting: 'REDIS_PORT' }
  const refused = t.rejects(requirePorts([free, { port, purpose: 'XMPP', setting: 'XMPP_PORT' }]))
  const { message } = (await refused) as Error
  t.match(
    message,
    new RegExp(`^Port ${port} \\(XMPP\\) is taken by node ports\\.test\\.ts \\(pid ${process.pid}\\)\\. .*XMPP_PORT=`),
  )
  t.equal(message.split('\n').length, 1, 'the free one is not complained about')
})

test('a port that is set twice is named with both settings', async (t) => {
  const port = await freePort()
  const wanted = [
    { port, purpose: 'Redis', setting: 'REDIS_PORT' },
    { port, purpose: 'NATS', setting: 'NATS_PORT' },
  ]
  await t.rejects(requirePorts(wanted), {
    message: `Port ${port} is set for both Redis (REDIS_PORT) and NATS (NATS_PORT)`,
  })
})

test('free ports lie below the range of outgoing connections', async (t) => {
  const ports = await Promise.all(Array.from({ length: 20 }, freePort))
  t.ok(
    ports.every((port) => port >= 15_000 && port < 32_000),
    ports.join(),
  )
})

test('the environment changes ports; PORT is the gateway, GATEWAY_PORT comes first', async (t) => {
  t.strictSame(portsFromEnvironment({ PORT: '9000', XMPP_PORT: '6222' }), { xmpp: 6222, gateway: 9000 })
  t.strictSame(portsFromEnvironment({ PORT: '9000', GATEWAY_PORT: '9001' }), { gateway: 9001 })
  t.throws(() => portsFromEnvironment({ REDIS_PORT: 'x' }), /REDIS_PORT=x is not a port number/)
})
