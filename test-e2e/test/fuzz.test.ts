/**
 * Stanzas and bodies that clients of ours never send, on real streams. FUZZ_SECONDS: how long (12); FUZZ_SEED: which ones.
 */
import { messageType, messageTypes } from '@im/contracts/message'
import { eventually } from '@im/service-kit/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { startJourney } from '../src/journey.ts'
import { RawStream } from '../src/raw-stream.ts'

const seconds = Number(process.env['FUZZ_SECONDS'] ?? 12)
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31)
const atOnce = 12
const mostMemoryGrowth = 150 * 2 ** 20

const escapeXml = (text: string) => text.replace(/[&<>\r]/g, (c) => `&#${c.charCodeAt(0)};`)

/** JSON texts of a body; `ok` when it may pass. */
function bodies(peer: number) {
  const odd = [
    '1.5',
    '"902.5"',
    'true',
    '4294968198',
    '"0b1"',
    '"0x1"',
    '[1]',
    '{"a":1}',
    '-1',
    '1e400',
    '"1 "',
    '903',
    '"802"',
  ]
  const members = (...parts: string[]) => `{${parts.join(',')}}`
  const content = fc.string({ unit: 'grapheme', maxLength: 60 }).map((text) => `"content":${JSON.stringify(text)}`)
  const refused = (arbitrary: fc.Arbitrary<string>) => arbitrary.map((body) => ({ body, ok: false }))
  return fc.oneof(
    content.map((text) => ({ body: members('"type":1', text), ok: true })),
    fc.constantFrom('1.0', '"1"', '1e0').map((type) => ({ body: members(`"type":${type}`), ok: true })),
    content.map((text) => ({ body: members('"type":1', '"__proto__":{"type":903}', '"__hash":"x"', text), ok: true })),
    fc.constant({ body: members('"type":1', `"content":"\\ud800"`, '"\\udfff":1'), ok: true }),
    fc.integer({ min: 1, max: 5000 }).map((depth) => ({
      body: members('"type":1', `"x":${'['.repeat(depth)}${']'.repeat(depth)}`),
      ok: true,
    })),
    refused(fc.constantFrom(...odd).map((type) => members(`"type":${type}`))),
    refused(content.map((text) => members('"type":1', text, '"type":903'))),
    refused(content.map((text) => members('"type":1', text, '"\\u0074ype":1'))),
    refused(fc.constant(members('"type":1', `"fromUserId":"${peer}"`))),
    refused(fc.constant(members('"type":1', '"fromUserId":1', '"fromUserId":2'))),
    refused(fc.constant('['.repeat(5000))),
    refused(
      fc.constantFrom('', 'null', '[]', '"x"', '{"type":1', '{"type":1}}', '{type:1}', '\u00a0{}x', '{"type":1,}'),
    ),
  )
}

/** Stanzas around a body. `ends`: the server may end the stream that sent it. */
function stanzas(peer: { userId: number; jid: string }) {
  const id = fc.stringMatching(/^[0-9a-f]{32}$/)
  return fc.tuple(bodies(peer.userId), id).chain(([{ body, ok }, id]) => {
    const text = escapeXml(body)
    const whole = (children: string, attributes = "type='chat'") =>
      `<message xmlns='jabber:client' id='${id}' to='${peer.jid}' ${attributes}>${children}</message>`
    const plain = `<body>${text}</body>`
    const forged = `<message xmlns='jabber:client' from='${peer.jid}' to='${peer.jid}'>${plain}</message>`
    const kinds: { xml: string | Buffer; ok: boolean; ends?: boolean }[] = [
      { xml: whole(plain), ok },
      { xml: whole(plain), ok },
      {
        xml: whole(
          `<request xmlns='urn:xmpp:receipts'/>${plain}<delay xmlns='urn:xmpp:delay' stamp='2001-01-01T00:00:00Z'/>`,
        ),
        ok,
      },
      {
        xml: whole(
          `${plain}<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>${forged}</forwarded></sent>`,
        ),
        ok,
      },
      {
        xml: whole(
          `<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>${forged}</forwarded></received>`,
        ),
        ok: false,
      },
      { xml: whole(plain.replace('<body>', `<body xmlns='urn:x'>`)), ok: false },
      { xml: whole(`<x:body xmlns:x='urn:x'>${text}</x:body>`), ok: false },
      { xml: whole(`${plain}${plain}`), ok: false },
      { xml: whole(`${plain}<body xmlns='urn:x'>{"type":903}</body>`), ok: false },
      { xml: whole(`<body>${plain}</body>`), ok: false },
      { xml: whole(`<x xmlns='urn:x'>${plain}</x>`), ok: false },
      { xml: whole(plain, `type='chat' x='${'y'.repeat(40_000)}'`), ok },
      { xml: whole(plain, `type='groupchat'`), ok: false },
      { xml: whole(plain, `type='error'`), ok: false },
      { xml: whole(plain, `type='&#10;chat'`), ok: false },
      { xml: whole(plain, `type='chat' from='${peer.jid}'`), ok, ends: true },
      { xml: whole(`<body>&#xD800;</body>`), ok: false, ends: true },
      { xml: whole(plain).replace('</message>', '</massage>'), ok: false, ends: true },
      {
        xml: Buffer.from(whole(`<body>{"type":1,"content":"\u{1f600}"}</body>`)).subarray(0, -40),
        ok: false,
        ends: true,
      },
      {
        xml: Buffer.concat([Buffer.from(whole('<body>{"type":1,"content":"')), Buffer.from([0xff, 0xc0, 0x80])]),
        ok: false,
        ends: true,
      },
      { xml: whole(`<body>${'x'.repeat(300_000)}</body>`), ok: false, ends: true },
      { xml: whole('<x>'.repeat(2000)), ok: false, ends: true },
    ]
    return fc.constantFrom(...kinds).map((kind) => ({ id, ends: false, ...kind }))
  })
}

/** Why a message that came from the attacker should not have passed; undefined when all is well. */
function wrongWith(stanza: string, attacker: number): string | undefined {
  const body = /<body>([^<]*)<\/body>/.exec(stanza)?.[1]
  if (body === undefined || stanza.split('<body').length !== 2) return 'not one body'
  if (/<(sent|forwarded|x:|x )/.test(stanza)) return 'a foreign child'
  if (!new RegExp(`from="${attacker}@[^/"]+/android"`).test(stanza)) return 'a forged sender'
  const unescaped = body.replace(
    /&(lt|gt|amp|quot|apos);/g,
    (_, n: string) => ({ lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" })[n]!,
  )
  const { type, fromUserId } = JSON.parse(unescaped) as { type: unknown; fromUserId?: unknown }
  const code = Number(type)
  if (!Number.isInteger(code) || code < 0 || code > 2 ** 31 - 1) return 'a type that is none'
  if (messageTypes[code] && messageType(code).by === 'server') return 'a type of the server'
  return fromUserId === undefined || String(fromUserId) === String(attacker) ? undefined : 'a false fromUserId'
}

test('whatever a client writes: no other stream ends, nothing forbidden passes, and the log goes on', {
  timeout: (seconds + 90) * 1000,
}, async (t) => {
  const { stack, people } = await startJourney(t)
  const [mallory, bob, carol] = [
    await people.register('mallory'),
    await people.register('bob'),
    await people.register('carol'),
  ]
  const [receiver, bystander] = [await bob.phone(), await carol.phone()]
  const wrong: string[] = []
  receiver.onMessage = (stanza) => {
    if (!stanza.includes(`from="${mallory.userId}@`) || stanza.includes('type="error"')) return
    const why = wrongWith(stanza, mallory.userId)
    if (why) wrong.push(`${why}: ${stanza.slice(0, 500)}`)
  }
  const places = [stack.xmppPort, `${stack.gatewayUrl.replace('http', 'ws')}/xmpp-websocket`]
  const account = { domain: stack.xmppDomain, userId: mallory.userId, password: mallory.token }
  const samples = fc.sample(stanzas({ userId: bob.userId, jid: `${bob.userId}@${stack.xmppDomain}` }), {
    seed,
    numRuns: 200 * seconds,
  })
  const memory = () => memoryOf(stack.urls.message)
  const before = await memory()
  const end = Date.now() + seconds * 1000
  let [stream, sent, ended] = [await RawStream.login(places[0]!, account), 0, 0]
  for (let at = 0; at < samples.length && Date.now() < end; at += atOnce) {
    for (const { xml, ends } of samples.slice(at, at + atOnce)) {
      if (stream.isOver) {
        stream.close()
        stream = await eventually(() => RawStream.login(places[++ended % 2]!, account), 20_000)
      }
      // A WebSocket carries whole elements as text.
      if (stream.isWebSocket && typeof xml !== 'string') continue
      stream.write(xml)
      sent++
      if (ends) await eventually(() => stream.isOver, 300).catch(() => stream.close())
      if (ends) stream.isOver = true
    }
    await bystander.say(bob.userId, `after ${sent}`)
  }
  t.ok(sent > 5 * seconds, `seed ${seed}: ${sent} stanzas, ${ended} streams of theirs ended`)
  t.strictSame([receiver.isDown, bystander.isDown], [false, false], `seed ${seed}: streams of others go on`)
  receiver.onMessage = () => {}
  const mallorys = await mallory.phone('pc')
  const last = await mallorys.say(bob.userId, 'still here')
  await receiver.hears(({ id }) => id === last.messageId, 20_000)
  t.strictSame(wrong, [], `seed ${seed}: nothing forbidden passes`)
  const forbidden = new Set(samples.filter(({ ok }) => !ok).map(({ id }) => id))
  t.strictSame(
    receiver.received.filter(({ id }) => forbidden.has(id)),
    [],
    `seed ${seed}`,
  )
  const allowed = new Set(samples.filter(({ ok }) => ok).map(({ id }) => id))
  t.ok(
    receiver.received.some(({ id }) => allowed.has(id)),
    'what is allowed passes',
  )
  t.ok((await memory()) - before < mostMemoryGrowth, 'memory stays bounded')
})

async function memoryOf(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/^process_resident_memory_bytes\S* (\S+)/m.exec(text)?.[1] ?? Number.NaN)
}
