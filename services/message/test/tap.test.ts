import assert from 'node:assert/strict'
import { test } from 'node:test'
import { archive } from '@im/contracts'
import { eventually } from '@im/service-kit/testing'
import { alice, bob, startMessage } from './start-message.ts'
import { domain } from './xmpp-server.ts'

test('a message is stored byte for byte, shown to both sides and confirmed to its sender', async (t) => {
  const { xmpp, api } = await startMessage(t)
  await eventually(() => xmpp.connected)
  const body = `{"type":1, "messageId":"m1","fromUserName":"爱丽丝","content":"a<b>&amp;\\"'\\u4f60好😀\\r\\n","x":{"y":[1.0]},"timeSend":${Date.now() / 1000}}\r\n`
  xmpp.say({ from: alice, to: String(bob), id: 'm1', body })
  await xmpp.drained()
  const [receipt] = xmpp.receipts
  assert.deepEqual(receipt, { id: 'm1', status: '1', from: `${bob}@${domain}`, to: `${alice}@${domain}/android` })

  const [sent] = await api.call(archive.listSingleHistory, { receiver: bob }, { as: alice })
  const [received] = await api.call(archive.listSingleHistory, { receiver: alice }, { as: bob })
  assert.equal(sent?.body, body)
  assert.equal(sent?.content, 'a<b>&amp;"\'你好😀\r\n')
  assert.equal(sent?.direction, 0)
  assert.equal(sent?.receiver, bob)
  assert.match(
    sent?.message ?? '',
    /^<message .*<body>.*爱丽丝.*<\/body><request xmlns="urn:xmpp:receipts"\/><\/message>$/s,
  )
  assert.equal(received?.direction, 1)
  assert.equal(received?.sender, bob)
  assert.equal(received?.receiver, alice)
  assert.equal(received?.sender_jid, `${alice}@${domain}/android`)
})
