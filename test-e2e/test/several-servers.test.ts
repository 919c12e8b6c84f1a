/** People on different XMPP servers, with two replicas of the message service between them. */
import { archive } from '@im/contracts/message'
import { test } from 'tap'
import { People } from '../src/people.ts'
import { startTestStack } from '../src/stack.ts'

test('people on two XMPP servers chat, and lose nothing when one of them is killed', async (t) => {
  const stack = await startTestStack({ xmppServers: 2, messageReplicas: 2 })
  const people = new People(stack)
  t.teardown(async () => {
    await people.close()
    await stack.close()
  })
  const servers = (stack.env['XMPP_PORTS'] ?? '').split(',').map((port) => ({ service: `xmpp://127.0.0.1:${port}` }))
  t.equal(servers.length, 2)
  const [alice, bob] = [await people.register('alice'), await people.register('bob')]
  const onFirst = await alice.phone('android', servers[0])
  const onSecond = await bob.phone('android', servers[1])
  const tablet = await bob.phone('pc', { ...servers[0], password: bob.password })

  const hello = await onFirst.say(bob.userId, 'hello')
  for (const device of [onSecond, tablet]) await device.hears((message) => message.id === hello.messageId)
  const answer = await onSecond.say(alice.userId, 'hi')
  await onFirst.hears((message) => message.id === answer.messageId)

  await tablet.hangUp()
  await stack.kill('prosody-2')
  const meanwhile = await onFirst.say(bob.userId, 'meanwhile')
  await stack.restart('prosody-2')
  const back = await bob.phone('android', servers[1])
  await back.hears((message) => message.id === meanwhile.messageId, 20_000)
  const [newest] = await bob.call(archive.listSingleHistory, { receiver: alice.userId })
  t.equal(newest?.messageId, meanwhile.messageId)
})
