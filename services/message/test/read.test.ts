import type { Element } from '@xmpp/component'
import fc from 'fast-check'
import { test } from 'tap'
import { parseJid, userIdOf } from '../src/read/addresses.ts'
import { findMembers } from '../src/read/json-members.ts'
import { isRefused, readBody } from '../src/read/read-body.ts'
import { type MessageReading, readMessage, readSender } from '../src/read/read-message.ts'
import { escapeAttribute, escapeText, escapeXml } from '../src/stanzas/xml-text.ts'
import { domain, parseStanza } from './xmpp-server.ts'

const alice = 10000001
const bob = 10000002

function read(stanza: Element): MessageReading {
  const entry = { log: 'l', seq: 1, stamp: 1000, server: 's', stream: '1', from: `${alice}@${domain}/a`, stanza }
  return readMessage(entry, readSender(entry), domain)
}

const text = (children: string, attributes = `type='chat'`) =>
  `<message xmlns='jabber:client' id='m' to='${bob}@${domain}' ${attributes}>${children}</message>`
const bodyOf = (json: string) => `<body>${escapeText(json)}</body>`
const outcome = (xml: string) => {
  const reading = read(parseStanza(xml))
  return reading.kind === 'refused' ? reading.refusal.condition : reading.kind
}

test('a stanza has one body, in the namespace of the stream, with text only', async (t) => {
  const json = bodyOf('{"type":1}')
  const outcomes = {
    [text(json)]: 'message',
    [text(`${json}<request xmlns='urn:xmpp:receipts'/>`)]: 'message',
    [text(`<body xmlns='jabber:client'>{"type":1}</body>`)]: 'message',
    [text(`<body xmlns='urn:x'>{"type":1}</body>`)]: 'bad-request',
    [text(`<x:body xmlns:x='urn:x'>{"type":1}</x:body>`)]: 'bad-request',
    [text(`${json}${json}`)]: 'bad-request',
    [text(`${json}<body xmlns='urn:x'>{"type":903}</body>`)]: 'bad-request',
    [text(`<body xmlns='urn:x'>{"type":903}</body>${json}`)]: 'bad-request',
    [text(`<body><i/>{"type":1}</body>`)]: 'bad-request',
    [text(`<body>{"type":1}<i>x</i></body>`)]: 'bad-request',
    [text(`<x xmlns='urn:x'>${json}</x>`)]: 'nothing',
    [text('<composing xmlns="http://jabber.org/protocol/chatstates"/>')]: 'nothing',
    [text(`<received xmlns='urn:xmpp:receipts' id='m'/>`)]: 'received',
    [text(`<received xmlns='urn:xmpp:receipts'/>`)]: 'nothing',
    [text(`<received xmlns='urn:x' id='m'/>`)]: 'nothing',
    [text(json, '')]: 'message',
    [text(json, `type='normal'`)]: 'message',
    [text(json, `type='groupchat'`)]: 'message',
    [text(json, `type='headline'`)]: 'bad-request',
    [text(json, `type='error'`)]: 'bad-request',
    [text(json, `type='Chat'`)]: 'bad-request',
    [text('', `type='error'`)]: 'nothing',
  }
  for (const [xml, wanted] of Object.entries(outcomes)) t.equal(outcome(xml), wanted, xml)
})

test('what a client adds does not travel', async (t) => {
  const reading = read(
    parseStanza(
      text(
        `${bodyOf('{"type":1}')}<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/><sent xmlns='urn:xmpp:carbons:2'/><html xmlns='urn:x'/>`,
      ),
    ),
  )
  t.equal(reading.kind, 'message')
  if (reading.kind === 'message') t.strictSame(Object.keys(reading.message).includes('stanza'), false)
})

test('a type is an integer of a range, in one of three spellings', async (t) => {
  const types: Record<string, number | 'refused'> = {
    '1': 1,
    '1.0': 1,
    '"1"': 1,
    '1e0': 1,
    '"0"': 0,
    '-0': 0,
    '2147483647': 2147483647,
    '"2147483647"': 2147483647,
    '903.000': 903,
  }
  const refused = `1.5 "902.5" "1.0" "01" "+1" "-1" " 1" "1 " "" "0b1" "0x1" "1e2" "１" true false null [] [1] {} -1 2147483648
    4294968198 "4294968198" 1e300 "99999999999999999999" "NaN" 0.9999999999999999`
  for (const spelling of refused.split(/\s+(?=[^ ])/).filter(Boolean)) types[spelling] = 'refused'
  types['" 1"'] = 'refused'
  types['"1 "'] = 'refused'
  for (const [spelling, wanted] of Object.entries(types)) {
    let json = `{"type":${spelling}}`
    try {
      JSON.parse(json)
    } catch {
      json = `{"type":${JSON.stringify(spelling)}}`
    }
    const reading = readBody(json)
    t.equal(isRefused(reading) ? 'refused' : reading.type, wanted, json)
  }
  const without = readBody('{"content":"x"}')
  t.equal(isRefused(without) || without.type, 0)
})

test('a body is an object that names what is checked once', async (t) => {
  const refusals = [
    ...[
      '',
      'x',
      'null',
      '1',
      '"x"',
      '[]',
      '[{"type":1}]',
      '{',
      '{"type":1',
      "{'type':1}",
      '{"type":1}x',
      '\ufeff{"type":1}',
    ],
    ...['type', 'messageId', 'fromUserId', 'toUserId'].flatMap((name) => [
      `{"${name}":1,"${name}":1}`,
      `{"${name}":1,"x":{"${name}":2},"\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}":2}`,
    ]),
  ]
  for (const json of refusals) t.ok(isRefused(readBody(json)), json)
  const taken = [
    '{"type":1,"x":{"type":903,"fromUserId":"x"},"content":"{\\"type\\":903}"}',
    '{"type":1,"x":["type","type"],"y":"\\"type\\":903,"}',
    '{"type":1,"content":"a","content":"b","extra":1,"extra":2}',
    '{"type":1,"__hash":["type",903],"__array":1,"__proto__":{"type":903},"constructor":{"type":903}}',
    '{"type":1,"content":"\\ud800","fromUserName":"\\udc00x"}',
    ' \r\n\t{ "type" : 1 , "x" : [ ] , "y" : { } } \n',
  ]
  for (const json of taken) {
    const reading = readBody(json)
    t.equal(isRefused(reading) || reading.type, 1, json)
  }
  const proto = readBody('{"__proto__":{"type":903,"fromUserId":"x"}}')
  t.match(proto, { type: 0, fromUserId: undefined, messageId: '' })
})

test('content that is no text is kept as it was sent', async (t) => {
  const contents: Record<string, string> = {
    '"a\\u4f60"': 'a你',
    '12.50': '12.5',
    true: 'true',
    null: '',
    '{ "a" : [1, 2.0] }': '{ "a" : [1, 2.0] }',
    '[ "x" ]': '[ "x" ]',
  }
  for (const [json, wanted] of Object.entries(contents)) {
    const reading = readBody(`{"type":1,"content":${json} ,"x":1}`)
    t.equal(isRefused(reading) || reading.content, wanted)
  }
  const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`
  const nested = readBody(`{"type":1,"content":${deep},"x":${deep}}`)
  t.equal(isRefused(nested) || nested.content, deep)
})

test('a body over 64 KiB is refused, and reading takes linear time', async (t) => {
  const sized = (bytes: number) => `{"type":1,"content":"${'x'.repeat(bytes - 23)}"}`
  t.notOk(isRefused(readBody(sized(65536))))
  t.match(readBody(sized(65537)), { condition: 'policy-violation' })
  t.match(readBody(`{"content":"${'你'.repeat(22_000)}"}`), { condition: 'policy-violation' })
  const hostile = [
    `{"a":"${'\\\\'.repeat(32_000)}"}`,
    `{"a":"${'\\"'.repeat(32_000)}"}`,
    `{${Array.from({ length: 8000 }, (_, n) => `"${n}":1`).join()}}`,
    `{"a":${'['.repeat(32_000)}${']'.repeat(32_000)}}`,
    `{"a":1${' '.repeat(65_000)}}`,
    `{"a":${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}}`,
  ]
  for (const json of hostile) {
    const began = performance.now()
    for (let n = 0; n < 20; n++) readBody(json)
    t.ok(performance.now() - began < 1000, `${json.slice(0, 20)}: ${performance.now() - began} ms`)
  }
})

test('the places of members are found, whatever the object holds', async (t) => {
  const names = new Set(['type', 'content', 'a', '"', '\\', ' '])
  const key = fc.oneof(fc.constantFrom(...names), fc.string({ unit: 'binary', maxLength: 4 }))
  const value = fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' })
  const blank = fc.constantFrom('', ' ', '\n', '\t\r ')
  const members = fc.array(fc.tuple(key, value, blank, blank), { maxLength: 8 })
  await t.resolves(
    fc.assert(
      fc.asyncProperty(members, blank, async (list, outer) => {
        const json = `${outer}{${list.map(([name, of, before, after]) => `${before}${JSON.stringify(name)}${after}:${before}${JSON.stringify(of)}${after}`).join()}${outer}}${outer}`
        const { places, repeated } = findMembers(json, names)
        for (const name of names) {
          const given = list.filter(([key]) => key === name)
          const place = places.get(name)
          const found = place && JSON.stringify(JSON.parse(json.slice(place.start, place.end)))
          const last = given.length ? JSON.stringify(JSON.parse(JSON.stringify(given.at(-1)![1]))) : undefined
          if (found !== last || repeated.has(name) !== given.length > 1) throw new Error(`${name} of ${json}`)
        }
      }),
      { numRuns: 300 },
    ),
  )
})

test('whatever a body is, reading it neither throws nor sees another type than JSON.parse', async (t) => {
  const pieces = fc.constantFrom(
    ...[
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      '\\',
      '\\u0074',
      'type',
      'fromUserId',
      '1',
      '903',
      '1.5',
      'true',
      'null',
      ' ',
      '\ud800',
      '你',
    ],
  )
  const mutated = fc.array(pieces, { maxLength: 24 }).map((parts) => parts.join(''))
  const almost = fc.tuple(fc.constantFrom('{"type":1', '{"type":903,', '{"x":'), mutated).map((parts) => parts.join(''))
  await t.resolves(
    fc.assert(
      fc.asyncProperty(fc.oneof(mutated, almost, fc.string({ unit: 'binary' })), async (json) => {
        const reading = readBody(json)
        if (isRefused(reading)) return
        const parsed = JSON.parse(json) as { type?: unknown }
        if (Number(parsed.type ?? 0) !== reading.type) throw new Error(`type ${reading.type} of ${json}`)
      }),
      { numRuns: 3000 },
    ),
  )
})

test('a text survives being written into a stanza twice and read again', async (t) => {
  const xmlText = fc
    .string({
      unit: fc.constantFrom('a', '<', '>', '&', '"', "'", '\r', '\n', '\t', ']', '你', '😀', ' ', '&amp;', ']]>'),
    })
    .filter((value) => value.length > 0)
  await t.resolves(
    fc.assert(
      fc.asyncProperty(xmlText, async (value) => {
        const once = `<a xmlns='urn:x' b='${escapeAttribute(value)}'>${escapeText(value)}</a>`
        const twice = parseStanza(`<deliver>${escapeXml(once)}</deliver>`).text()
        if (twice !== once) throw new Error(JSON.stringify(value))
        const inner = parseStanza(twice)
        if (inner.text() !== value || inner.attrs['b'] !== value) throw new Error(JSON.stringify(value))
      }),
    ),
  )
})

test('a user has one spelling', async (t) => {
  for (const [local, user] of Object.entries({ '10000001': 10000001, '1': 1, '2147483647': 2147483647 }))
    t.equal(userIdOf(local), user)
  for (const local of [
    '',
    '0',
    '010000001',
    '10000001 ',
    '+1',
    '1e3',
    '１',
    '2147483648',
    '99999999999',
    '10000001.0',
    'alice',
  ])
    t.equal(userIdOf(local), undefined, local)
  t.throws(() => readSender({ from: `010000001@${domain}/a`, server: 's', stream: '1' }))
  t.strictSame(parseJid(`1@IM.localhost/a@b/c`), { local: '1', domain, resource: 'a@b/c' })
  t.strictSame(parseJid(domain), { local: '', domain, resource: '' })
})

test('a field whose name is written with escapes is read as apps read it, whatever was parsed before', async (t) => {
  for (const [escaped, name] of [
    ['\\u0074ype', 'type'],
    ['fromUser\\u0049d', 'fromUserId'],
  ] as const) {
    // V8 keeps the names of the last object and takes this one for the next, although its text is unescaped there.
    for (let n = 0; n < 100; n++) JSON.parse(`{"${escaped.replaceAll('\\', '\\\\')}":1}`)
    const body = readBody(`{"${escaped}":903}`)
    t.equal('type' in body && body.fields[name], 903)
  }
  t.ok('condition' in readBody('{"content":1,"content":2,"type":1,"type":903}'), 'a doubled type behind other doubles')
})

test('the place of a message among those of its moment follows from its place in the log, whoever reads it', async (t) => {
  const stanza = parseStanza(text(bodyOf('{"type":1}')))
  const idOf = (log: string, seq: number, stamp = 1_700_000_000_123) => {
    const entry = { log, seq, stamp, server: 's', stream: '1', from: `${alice}@${domain}/a`, stanza }
    const reading = readMessage(entry, readSender(entry), domain)
    return reading.kind === 'message' ? reading.message.archiveId.toHexString() : ''
  }
  t.equal(idOf('l', 7), idOf('l', 7))
  t.not(idOf('l', 7), idOf('other', 7))
  const ids = [1, 2, 255, 256, 65_536, 2 ** 32, 2 ** 39].map((seq) => idOf('l', seq))
  t.strictSame(ids.toSorted(), ids)
  t.equal(Number.parseInt(ids[0]!.slice(0, 8), 16), 1_700_000_000)
})
