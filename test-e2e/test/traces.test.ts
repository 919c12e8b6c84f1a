/** One trace leads from a call of an app through services, events and XMPP servers; a local collector takes them by OTLP. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { eventually } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { startJourney } from '../src/journey.ts'

interface Span {
  service: string
  traceId: string
  name: string
  attributes: Record<string, unknown>
}

interface Otlp {
  resourceSpans: {
    resource: { attributes: Attribute[] }
    scopeSpans: { spans: { traceId: string; name: string; attributes: Attribute[] }[] }[]
  }[]
}

interface Attribute {
  key: string
  value: Record<string, unknown>
}

const valuesOf = (attributes: readonly Attribute[]) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

async function startCollector(t: Test) {
  const spans: Span[] = []
  let received = ''
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    received += text
    for (const { resource, scopeSpans } of (JSON.parse(text) as Otlp).resourceSpans) {
      const service = String(valuesOf(resource.attributes)['service.name'])
      for (const span of scopeSpans.flatMap((scope) => scope.spans))
        spans.push({ service, traceId: span.traceId, name: span.name, attributes: valuesOf(span.attributes) })
    }
    response.setHeader('content-type', 'application/json').end('{}')
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, spans, received: () => received }
}

test('calls, events and messages can be followed, and no trace tells a secret or a text', async (t) => {
  const collector = await startCollector(t)
  const { stack, people } = await startJourney(t, {
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, LOG_LEVEL: 'info' },
  })
  const alice = await people.register('alice')
  const bob = await people.register('bob')
  const [sender, receiver] = [await alice.phone(), await bob.phone()]
  const text = 'a text that nobody else may read'
  const { messageId } = await sender.say(bob.userId, text)
  await receiver.hears(({ id }) => id === messageId)

  const find = (service: string, name: string | RegExp, traceId?: string) =>
    collector.spans.find(
      (span) =>
        span.service === service &&
        (typeof name === 'string' ? span.name === name : name.test(span.name)) &&
        (!traceId || span.traceId === traceId),
    )
  const call = await eventually(() => find('gateway', 'POST /user/register'), 30_000)
  t.equal(call.attributes['im.outcome'], 'Success')
  t.ok(await eventually(() => find('user', 'POST /user/register', call.traceId), 10_000), 'the service goes on with it')
  const handled = () =>
    collector.spans.find(
      ({ service, name, traceId }) => service !== 'user' && /^handle user\./.test(name) && traceId === call.traceId,
    )
  t.ok(await eventually(handled, 20_000), 'and so does another that handles its event')

  const stored = await eventually(() => find('message', 'store messages'), 20_000)
  t.ok(await eventually(() => find('message', 'message', stored.traceId), 10_000), 'a message from its arrival on')
  t.ok(await eventually(() => find('push', /^handle message\./, stored.traceId), 20_000), 'and what comes of it')

  for (const secret of [text, alice.token, alice.password, alice.telephone])
    t.notOk(collector.received().includes(secret))
  const { traceId } = call
  t.match(await stack.logs(), new RegExp(`"traceId":"${traceId}"`), 'log lines name the trace')
})
