import { test } from 'tap'
import { alice, archive, bob, carol, eventually, join, newId, textMessage } from './people.ts'
import { startProsody } from './prosody.ts'

const numbers = (to: number) => Array.from({ length: to }, (_, i) => i)

test('joining a thousand rooms passes at once', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '1' })
  const person = await join(prosody, alice)
  const start = Date.now()
  for (const i of numbers(1000)) person.write(`<presence id='join${i}' to='room${i}@muc.im.test/${alice}'/>`)
  await eventually(() => person.stanzas.filter((s) => s.attrs.type === 'error').length === 1000)
  t.ok(Date.now() - start < 3000, `${Date.now() - start} ms`)
  t.equal(await person.refusal('join999'), 'item-not-found') // answered, not refused for their number
})

test('a user who sends too much is read slowly, over all his streams; nobody else is', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '1' })
  await archive(prosody)
  const [phone, pc] = [await join(prosody, alice, 'android'), await join(prosody, alice, 'pc')]
  const [to, other] = [await join(prosody, bob), await join(prosody, carol)]
  const start = Date.now()
  for (const i of numbers(65)) {
    phone.send(bob, textMessage(alice, bob, `phone ${i}`))
    pc.send(bob, textMessage(alice, bob, `pc ${i}`))
  }
  await eventually(() => to.messages().length >= 100)
  t.ok(Date.now() - start < 1000, `the first hundred took ${Date.now() - start} ms`)
  await other.send(bob, textMessage(carol, bob, 'other'))
  await eventually(() => to.contents().includes('other'))
  t.ok(to.messages().length < 125)
  await eventually(() => to.messages().length === 131)
  const took = Date.now() - start
  t.ok(took > 1000 && took < 4000, `${took} ms for 30 messages at 20/s`)
  for (const device of ['phone', 'pc'])
    t.strictSame(
      to.contents().filter((content) => content.startsWith(device)),
      numbers(65).map((i) => `${device} ${i}`),
    )
  t.equal([...phone.stanzas, ...pc.stanzas].filter((s) => s.attrs.type === 'error').length, 0)
})

test('a stream over its limit is read slowly', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '0.05' }) // 100 at once, then 2.5 a second
  const person = await join(prosody, alice)
  for (const i of numbers(103)) person.write(`<presence id='join${i}' to='room${i}@muc.im.test/${alice}'/>`)
  await eventually(() => person.error('join90'))
  const start = Date.now()
  t.equal(await person.refusal('join102'), 'item-not-found')
  t.ok(Date.now() - start > 1000, `${Date.now() - start} ms`)
})

test('who stays over the limit for ten seconds is refused, not disconnected, until he slows down', async (t) => {
  const prosody = await startProsody(t, { LIMIT_FACTOR: '0.05' }) // 5 messages at once, then one a second
  const [from, to] = [await join(prosody, alice), await join(prosody, bob)]
  const start = Date.now()
  const ids = numbers(20).map((i) => `f${i.toString().padStart(31, '0')}`)
  for (const id of ids) from.send(bob, textMessage(alice, bob, id, id))
  const refused = await eventually(() => from.stanzas.find((s) => s.attrs.type === 'error'), 15_000)
  const took = Date.now() - start
  t.ok(took > 9_500, `refused after ${took} ms`)
  t.equal(refused.getChild('error')?.getChildElements()[0]?.name, 'resource-constraint')
  t.equal(refused.getChild('error')?.attrs.type, 'wait')
  const answered = () => to.messages().length + from.stanzas.filter((s) => s.attrs.type === 'error').length
  await eventually(() => answered() === 20, 15_000)
  const delivered = to.contents()
  t.ok(delivered.length >= 14 && delivered.length < 20, `${delivered.length} delivered`)
  t.strictSame(delivered, [...delivered].sort())
  await new Promise((resolve) => setTimeout(resolve, 3500)) // half of the burst is there again
  const late = newId()
  await from.send(bob, textMessage(alice, bob, 'late', late))
  await eventually(() => to.contents().includes('late'))
})
