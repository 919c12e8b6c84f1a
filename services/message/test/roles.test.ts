import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { archive } from '@im/contracts/message'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { alice, bob, startMessage } from './start-message.ts'
import { XmppServer } from './xmpp-server.ts'

test('one replica takes what XMPP servers hand on, another one answers requests', async (t) => {
  const xmpp = await XmppServer.start()
  const env = { NAMESPACE: `t${randomBytes(5).toString('hex')}` }
  const http = await startMessage(t, { xmpp, env: { ...env, MESSAGE_ROLE: 'http' } })
  await delay(500)
  t.equal(xmpp.connections, 0)
  const feed = await startMessage(t, { xmpp, user: http.user, env: { ...env, MESSAGE_ROLE: 'feed' } })
  await eventually(() => xmpp.connected)
  const sender = await feed.online(alice)
  const id = sender.say({ to: bob })
  await eventually(() => sender.receipts.includes(id))
  const rows = await http.api.call(archive.listSingleHistory, { receiver: bob }, { as: alice })
  t.strictSame(
    rows.map(({ messageId }) => messageId),
    [id],
  )
  t.equal((await fetch(`${feed.url}/healthz`)).status, 200)
  t.equal((await feed.api.envelope(archive.listSingleHistory, { receiver: bob }, { as: alice })).resultCode, 1020105)
})
