import { setTimeout as delay } from 'node:timers/promises'
import type { ResultOf } from '@im/contracts'
import { archive } from '@im/contracts/message'
import { eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { startJourney } from '../src/journey.ts'
import type { People, Person } from '../src/people.ts'
import { chatBody, type Phone } from '../src/phone.ts'

const total = 1000
const perSecond = 400

interface Outgoing {
  messageId: string
  body: string
}

/**
 * Sends like an app does: everything in order; when the stream breaks it connects again and repeats, in order,
 * what was not confirmed.
 */
async function sendAll(
  t: Test,
  sender: Person,
  to: number,
  messages: readonly Outgoing[],
  during: () => Promise<void>,
) {
  const confirmed = new Set<string>()
  let phone: Phone | undefined
  let disturbed: Promise<void> | undefined
  const collect = () => {
    for (const id of phone?.receipts ?? []) confirmed.add(id)
  }
  const reconnect = async () => {
    collect()
    await phone?.hangUp()
    phone = await eventually(() => sender.phone(), 60_000)
  }
  await reconnect()
  let next = 0
  const deadline = Date.now() + 120_000
  while (confirmed.size < messages.length) {
    t.ok(Date.now() < deadline, `only ${confirmed.size} of ${messages.length} were confirmed`)
    if (!phone || phone.isDown) {
      await reconnect()
      next = 0
    }
    const burst = messages.slice(next, next + perSecond / 20).filter(({ messageId }) => !confirmed.has(messageId))
    next = Math.min(next + perSecond / 20, messages.length)
    try {
      for (const { messageId, body } of burst) await phone?.sendBody(to, messageId, body)
    } catch {
      continue
    }
    if (next >= messages.length / 2) disturbed ??= during()
    if (next >= messages.length) {
      // All are out: give the receipts a moment, then repeat what is missing.
      const before = confirmed.size
      await delay(500)
      collect()
      if (confirmed.size === before && phone && !phone.isDown) next = 0
    } else await delay(50)
    collect()
  }
  await disturbed
  await phone?.hangUp()
}

async function wholeHistory(person: Person, peer: number) {
  const rows: ResultOf<typeof archive.listSingleHistory> = []
  for (let pageIndex = 0; ; pageIndex++) {
    const page = await person.call(archive.listSingleHistory, { receiver: peer, pageIndex, pageSize: 500 })
    rows.push(...page)
    if (page.length < 500) return rows
  }
}

async function survives(t: Test, people: People, disturb: () => Promise<void>) {
  const alice = await people.register('alice')
  const bob = await people.register('bob')
  const start = Date.now() / 1000
  const messages = Array.from({ length: total }, (_, n) =>
    chatBody({ from: alice.userId, to: bob.userId, content: `消息 ${n}`, timeSend: start + n / 1000 }),
  )
  await sendAll(t, alice, bob.userId, messages, disturb)
  const stored = await eventually(() => wholeHistory(bob, alice.userId), 60_000)
  t.equal(new Set(stored.map((row) => row.messageId)).size, stored.length, 'none is stored twice')
  t.strictSame(
    stored.map((row) => row.messageId).reverse(),
    messages.map(({ messageId }) => messageId),
    'all are there, in the order they were sent',
  )
  t.strictSame(
    stored.map((row) => row.body).reverse(),
    messages.map(({ body }) => body),
  )
}

test('kill -9 in the middle of 1,000 messages loses nothing that was confirmed', async (t) => {
  const { stack, people } = await startJourney(t, { apart: ['message'], killsStores: true })
  for (const victim of ['message', 'mongodb', 'prosody'] as const)
    await t.test(`of ${victim}`, { timeout: 240_000 }, async (t) => {
      await survives(t, people, async () => {
        await stack.kill(victim)
        await stack.restart(victim)
      })
    })
})
