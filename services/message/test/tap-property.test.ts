import assert from 'node:assert/strict'
import { xml } from '@xmpp/component'
import fc from 'fast-check'
import { test } from 'tap'
import { archiveBatch } from '../src/archive/archive-batch.ts'
import { createTapConsumer } from '../src/tap/consume-tap.ts'
import { alice, bob, startMessage } from './start-message.ts'
import { domain, XmppServer } from './xmpp-server.ts'

test('whatever is sent twice, delivered again or cut short: each message is stored once, in order', async (t) => {
  const { deps } = await startMessage(t, {
    xmpp: await XmppServer.start(),
    env: { XMPP_COMPONENT_URL: 'xmpp://127.0.0.1:1' },
  })
  let run = 0
  await t.resolves(
    fc.assert(
      fc.asyncProperty(
        // Ids of the messages in the order they are sent: a repeated one was sent again.
        fc.array(fc.integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 40 }),
        // After how many stored batches each life of the consumer ends, and whether its acknowledgement still went out.
        fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.boolean()), { maxLength: 5 }),
        // Failures of MongoDB before and after the commit, by batch.
        fc.array(fc.constantFrom('no', 'before', 'after'), { minLength: 1, maxLength: 10 }),
        fc.integer({ min: 1, max: 9 }),
        async (ids, lives, failures, maxBatch) => {
          const name = `p${run++}`
          const from = alice + run * 2
          const to = bob + run * 2
          const server = { acked: 0, receipts: [] as string[] }
          let batches = 0
          for (const life of [...lives, undefined]) await live(life)

          async function live(life: [number, boolean] | undefined) {
            let stored = 0
            const { promise: over, resolve: end } = Promise.withResolvers<void>()
            const consumer = createTapConsumer({
              domain,
              component: `api.${domain}`,
              maxBatch,
              async archive(entries) {
                const failure = failures[batches++ % failures.length]
                const planned = batches <= failures.length ? failure : 'no'
                if (planned === 'before') throw new Error('away')
                const outcomes = await archiveBatch(deps, entries)
                if (planned === 'after') throw new Error('away after the commit')
                stored++
                return outcomes.filter((outcome) => outcome === 'new').length
              },
              park: async () => assert.fail('nothing is poison here'),
              send(xml) {
                const dies = life !== undefined && stored >= life[0]
                if (!dies || life?.[1]) {
                  for (const [, id] of xml.matchAll(/received [^>]*id="([^"]+)"/g)) server.receipts.push(id!)
                  server.acked = Number(/seq="(\d+)"/.exec(xml)?.[1])
                }
                if (dies || server.acked === ids.length) end()
              },
              fail: (error) => assert.fail(error),
              log: deps.log,
              metrics: deps.tapMetrics,
            })
            if (server.acked === ids.length) return
            consumer.expect(name, server.acked, ids.length)
            for (let seq = server.acked + 1; seq <= ids.length; seq++) {
              const id = `${name}-${ids[seq - 1]}`
              consumer.take({ seq, stamp: Date.now(), sender: `${from}@${domain}/a`, message: stanza(id, to) })
            }
            await over
            await consumer.close()
          }

          const found = await deps.messages.collection.find({ from, to }).sort({ _id: 1 }).toArray()
          const sent = [...new Set(ids)].map((id) => `${name}-${id}`)
          assert.deepEqual(
            found.map(({ messageId }) => messageId),
            sent,
          )
          assert.deepEqual(new Set(server.receipts), new Set(sent))
        },
      ),
      { numRuns: 15 },
    ),
  )
})

/** An element as the parser of the component gives it. */
const stanza = (id: string, to: number) =>
  xml(
    'message',
    { id, type: 'chat', to: `${to}@${domain}` },
    xml('body', {}, JSON.stringify({ type: 1, messageId: id, content: 'hi' })),
    xml('request', { xmlns: 'urn:xmpp:receipts' }),
  )
