/** An XMPP server that does not fit: one clear line, and nothing of its log is lost. */
import { createLogger, type Logger } from '@im/service-kit'
import { eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { frameVersion } from '../src/feed/frame-namespace.ts'
import { alice, bob, startMessage } from './start-message.ts'
import { XmppServer } from './xmpp-server.ts'

/** A log whose errors can be read. */
function readableLog(): { log: Logger; errors: string[] } {
  const errors: string[] = []
  const log = createLogger({ service: 'message', level: 'silent', format: 'json' })
  log.error = ((line: object, text: string) => {
    errors.push(`${text} (${(line as { reason?: string }).reason})`)
  }) as Logger['error']
  return { log, errors }
}

async function startWith(t: Test, xmpp: XmppServer, env: Record<string, string>) {
  const { log, errors } = readableLog()
  const started = await startMessage(t, { xmpp, env, overrides: { log } })
  return { ...started, errors }
}

test('a server of another version is told once, keeps its log, and is read once it fits', async (t) => {
  const xmpp = await XmppServer.start()
  xmpp.version = '2'
  xmpp.say({ from: alice, to: bob, body: { content: 'hi' } })
  const { errors, user } = await startWith(t, xmpp, {})
  await eventually(() => errors.length)
  t.match(errors, [
    /^run the same release of the XMPP server and of this service; .* \(the XMPP server speaks version 2/,
  ])
  await eventually(() => !xmpp.connected)
  t.equal(xmpp.released, 0)

  xmpp.version = frameVersion
  await startMessage(t, { xmpp, user })
  await xmpp.drained()
  t.equal(errors.length, 1)
})

test('a secret that the server does not know is told once', async (t) => {
  const xmpp = await XmppServer.start()
  const { errors } = await startWith(t, xmpp, { XMPP_COMPONENT_SECRET: 'half-a-secret' })
  await eventually(() => errors.length)
  await eventually(() => xmpp.refusals > 3)
  t.equal(errors.length, 1)
  t.match(errors, [/^the XMPP server refuses us: XMPP_COMPONENT_SECRET must be the same there and here/])
})

test('a server of another domain is told once, with the setting', async (t) => {
  const xmpp = await XmppServer.start()
  xmpp.refuseWith = 'host-unknown'
  const { errors } = await startWith(t, xmpp, {})
  await eventually(() => xmpp.refusals > 3)
  t.equal(errors.length, 1)
  t.match(errors, [/^the XMPP server is of another domain: XMPP_DOMAIN must be the same there and here/])
})
