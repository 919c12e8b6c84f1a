import { createHash } from 'node:crypto'
import { type EventEmitter, once } from 'node:events'
import { appendFile, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join as joinPath } from 'node:path'
import type { Element } from '@xmpp/component'
import { test } from 'tap'
import { alice, archive, bob, eventually, join, newId, Person, register, textMessage } from './people.ts'
import { startProsody } from './prosody.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

test('messages reach the receiver and, in order, the message service', async (t) => {
  const prosody = await startProsody(t)
  const taken = await archive(prosody)
  const [from, to] = [await join(prosody, alice), await join(prosody, bob)]
  for (const i of numbers(1, 300)) await from.send(bob, textMessage(alice, bob, String(i)), { receipt: true })
  await eventually(() => to.messages().length === 300 && taken.entries.length === 300)
  t.strictSame(to.contents(), numbers(1, 300).map(String))
  t.strictSame(taken.contents(), numbers(1, 300).map(String))
  t.strictSame(
    taken.entries.map((e) => e.seq),
    numbers(1, 300),
  )
  const first = taken.entries[0]!
  t.equal(first.sender, `${alice}@im.test/android`)
  t.equal(first.message.attrs.to, `${bob}@im.test`)
  t.ok(first.message.getChild('request', 'urn:xmpp:receipts'))
  t.ok(Math.abs(first.stamp - Date.now()) < 60_000)
})

test('bodies keep every character', async (t) => {
  const prosody = await startProsody(t)
  const taken = await archive(prosody)
  const [from, to] = [await join(prosody, alice), await join(prosody, bob)]
  const bodies = [
    `{"type":1,"messageId":"${newId()}","content":"a\\u0000b", "unknown" :  1.50 }`,
    `{"type":1,"messageId":"${newId()}",\r\n"content":"<&>'\\"]]>",\n\t"x":"😀 好\u2028"}\r`,
    `not JSON \r\r\n & <body>`,
  ]
  for (const body of bodies) await from.send(bob, body)
  await eventually(() => taken.entries.length === 3 && to.messages().length === 3)
  t.strictSame(taken.bodies(), bodies)
  t.strictSame(to.bodies(), bodies)
  await to.offline()
  for (const [i, body] of bodies.entries())
    await from.send(bob, body.replace(/"messageId":"./, `"messageId":"f`), { id: `again${i}` })
  await eventually(() => taken.entries.length === 6)
  const back = await join(prosody, bob)
  await eventually(() => back.messages().length === 3)
  t.strictSame(back.bodies(), taken.bodies().slice(3))
})

test('what is not acknowledged is sent again with the same numbers, after a loss of the component and of the server', async (t) => {
  const prosody = await startProsody(t)
  const first = await archive(prosody, { acking: false })
  t.strictSame(
    first.starts.map(({ acked, last }) => [acked, last]),
    [[0, 0]],
  )
  const from = await join(prosody, alice)
  register(prosody, bob)
  for (const i of numbers(1, 5)) await from.send(bob, textMessage(alice, bob, String(i)))
  await eventually(() => first.entries.length === 5)
  first.ack(2)
  first.disconnect()
  await from.send(bob, textMessage(alice, bob, '6'))
  await from.sync()
  const second = await archive(prosody, { acking: false })
  await eventually(() => second.entries.length === 4)
  t.strictSame(second.starts, [{ log: first.starts[0]?.log, acked: 2, last: 6 }])
  t.strictSame(
    second.entries.map((e) => [e.seq, JSON.parse(e.body).content]),
    [
      [3, '3'],
      [4, '4'],
      [5, '5'],
      [6, '6'],
    ],
  )
  second.ack(4)
  await from.sync()
  await prosody.end('SIGTERM')
  await prosody.start()
  const third = await archive(prosody)
  await eventually(() => third.entries.length === 2)
  t.strictSame(third.starts, [{ log: first.starts[0]?.log, acked: 4, last: 6 }])
  t.strictSame(third.contents(), ['5', '6'])
})

test('not more than the window is sent without an acknowledgement', async (t) => {
  const prosody = await startProsody(t)
  const taken = await archive(prosody, { acking: false })
  const from = await join(prosody, alice)
  register(prosody, bob)
  for (const i of numbers(1, 1200)) await from.send(bob, textMessage(alice, bob, String(i)))
  await from.sync()
  await eventually(() => taken.entries.length === 512)
  await from.sync()
  t.equal(taken.entries.length, 512)
  taken.acking = true
  taken.ack(512)
  await eventually(() => taken.entries.length === 1200)
  t.strictSame(
    taken.entries.map((e) => e.seq),
    numbers(1, 1200),
  )
})

test('acknowledged segments are deleted while later ones wait', async (t) => {
  const prosody = await startProsody(t, { XMPP_TAP_SEGMENT_BYTES: '20000' })
  const taken = await archive(prosody, { acking: false })
  const from = await join(prosody, alice)
  register(prosody, bob)
  const segments = async () =>
    (await readdir(joinPath(prosody.dataDir, 'tap'))).filter((name) => name.endsWith('.log')).sort()
  for (const i of numbers(1, 400)) {
    await from.send(bob, textMessage(alice, bob, String(i)))
    if (i % 20 === 0) await from.sync()
  }
  await eventually(() => taken.entries.length === 400)
  const before = await segments()
  t.ok(before.length > 4, String(before))
  taken.ack(200)
  await eventually(async () => (await segments()).length < before.length)
  t.ok(Number.parseInt((await segments())[0]!, 10) <= 201)
  await prosody.end('SIGKILL')
  await prosody.start()
  const again = await archive(prosody)
  await eventually(() => again.entries.at(-1)?.seq === 400)
  t.ok(again.starts[0]!.acked <= 200) // the mark of the last acknowledgement may be lost, entries are not
  t.strictSame(
    again.entries.map((e) => e.seq),
    numbers(again.starts[0]!.acked + 1, 400),
  )
})

test('a torn end of the log is cut off', async (t) => {
  const prosody = await startProsody(t)
  const from = await join(prosody, alice)
  register(prosody, bob)
  await from.send(bob, textMessage(alice, bob, 'whole'))
  const taken = await archive(prosody, { acking: false })
  await eventually(() => taken.entries.length === 1)
  await prosody.end('SIGKILL')
  const folder = joinPath(prosody.dataDir, 'tap')
  const [segment] = (await readdir(folder)).filter((name) => name.endsWith('.log'))
  await appendFile(joinPath(folder, segment!), '0123abcd\tS\t2\t17\tx@im.test/y\t<message')
  await prosody.start()
  const again = await archive(prosody)
  const back = await join(prosody, alice)
  await back.send(bob, textMessage(alice, bob, 'next'))
  await eventually(() => again.entries.length === 2)
  t.strictSame(
    again.entries.map((e) => [e.seq, JSON.parse(e.body).content]),
    [
      [1, 'whole'],
      [2, 'next'],
    ],
  )
})

test('a message sent again is stored again but not delivered again', async (t) => {
  const prosody = await startProsody(t)
  const taken = await archive(prosody)
  const [from, to] = [await join(prosody, alice), await join(prosody, bob)]
  const body = textMessage(alice, bob, 'once')
  await from.send(bob, body)
  await from.send(bob, body)
  await from.send(bob, textMessage(alice, bob, 'then'))
  await eventually(() => taken.entries.length === 3 && to.messages().length === 2)
  t.strictSame(to.contents(), ['once', 'then'])
  t.strictSame(taken.contents(), ['once', 'once', 'then'])
})

for (const version of ['this', 'an earlier']) {
  test(`a start knows what was routed in the last minute, from a log of ${version} version`, async (t) => {
    const prosody = await startProsody(t)
    const taken = await archive(prosody, { acking: false })
    const from = await join(prosody, alice)
    register(prosody, bob)
    const bodies = ['a', 'b'].map((content) => textMessage(alice, bob, content))
    for (const body of bodies) await from.send(bob, body)
    await eventually(() => taken.entries.length === 2)
    const folder = joinPath(prosody.dataDir, 'tap')
    const file = await eventually(async () => {
      const name = (await readdir(folder)).find((name) => name.endsWith('.log'))!
      return (await readFile(joinPath(folder, name), 'utf8')).includes('\tR\t2\n') ? joinPath(folder, name) : undefined
    })
    await prosody.end('SIGKILL')
    if (version === 'an earlier') {
      const lines = (await readFile(file, 'utf8')).split('\n').map((line) => {
        const [, kind, seq, stamp, sender, , ...xml] = line.split('\t')
        if (kind !== 'S') return line
        const text = [kind, seq, stamp, sender, ...xml].join('\t')
        return `${createHash('md5').update(text).digest('hex').slice(0, 8)}\t${text}`
      })
      await writeFile(file, lines.join('\n'))
    }
    await prosody.start()
    t.notMatch(prosody.log, /may not have routed|cut off/)
    const again = await archive(prosody)
    const back = await join(prosody, alice)
    for (const body of [...bodies, textMessage(alice, bob, 'c')]) await back.send(bob, body)
    await eventually(() => again.entries.length === 5)
    const to = await join(prosody, bob)
    await eventually(() => to.contents().includes('c'))
    t.strictSame(to.contents(), ['a', 'b', 'c'])
  })
}

test('only messages with a body to existing users are stored', async (t) => {
  const prosody = await startProsody(t)
  const taken = await archive(prosody)
  const [from, to] = [await join(prosody, alice), await join(prosody, bob)]
  const lost = await from.send('10009999', textMessage(alice, '10009999', 'x'))
  t.equal(await from.refusal(lost), 'service-unavailable')
  await from.write(`<message id='r' to='${to.jid}'><received xmlns='urn:xmpp:receipts' id='m'/></message>`)
  await from.write(`<message id='e' type='error' to='${to.jid}'><body>{}</body></message>`)
  for (const type of [0, 26, 200, 201]) await from.send(bob, textMessage(alice, bob, String(type), newId(), type))
  await from.send(from.bare, textMessage(alice, alice, 'self'))
  await eventually(() => taken.entries.length === 5)
  t.strictSame(taken.contents(), ['0', '26', '200', '201', 'self'])
  t.equal(taken.entries[4]?.message.attrs.to, from.bare)
  t.ok(to.stanzas.some((s) => s.getChild('received', 'urn:xmpp:receipts')))
})

test('without a log nothing is delivered and the sender is told', async (t) => {
  const prosody = await startProsody(t, { XMPP_TAP_SEGMENT_BYTES: '1' }) // each message needs a new file
  const taken = await archive(prosody)
  const [from, to] = [await join(prosody, alice), await join(prosody, bob)]
  await from.send(bob, textMessage(alice, bob, 'before'))
  await eventually(() => taken.entries.length === 1)
  const folder = joinPath(prosody.dataDir, 'tap')
  await rename(folder, `${folder}-away`)
  await writeFile(folder, 'not a folder')
  const refused = await from.send(bob, textMessage(alice, bob, 'meanwhile'))
  t.equal(await from.refusal(refused), 'internal-server-error')
  await rm(folder)
  await rename(`${folder}-away`, folder)
  await from.send(bob, textMessage(alice, bob, 'meanwhile', refused))
  await eventually(() => taken.entries.length === 2 && to.messages().length === 2)
  t.strictSame(to.contents(), ['before', 'meanwhile'])
  t.strictSame(
    taken.entries.map((e) => e.seq),
    [1, 2],
  )
})

test('a server killed at any moment leaves no process on its ports', async (t) => {
  const prosody = await startProsody(t)
  for (let round = 0; round < 5; round++) {
    await prosody.end('SIGKILL')
    const isFree = async () => {
      const socket = connect(prosody.port, '127.0.0.1')
      const [outcome] = await Promise.race([once(socket, 'connect').then(() => ['taken']), once(socket, 'error')])
      socket.destroy()
      return outcome !== 'taken'
    }
    t.ok(await eventually(isFree), `round ${round}`)
    await prosody.start()
  }
})

for (const fsync of ['group', 'off']) {
  test(`kill -9 under load loses nothing (fsync ${fsync})`, async (t) => {
    const prosody = await startProsody(t, { XMPP_TAP_FSYNC: fsync })
    let taken = await archive(prosody)
    const stored = new Map<number, string>()
    const note = () => {
      for (const entry of taken.entries) {
        const known = stored.get(entry.seq)
        t.ok(known === undefined || known === entry.body, `entry ${entry.seq} changed`)
        stored.set(entry.seq, entry.body)
      }
    }
    const acked: string[] = []
    const delivered: string[] = []
    let next = 0
    for (let round = 0; round < 3; round++) {
      const [from, to] = [await join(prosody, alice), await join(prosody, bob)]
      const management = from.client.streamManagement as unknown as EventEmitter
      management.on('ack', (stanza: Element) => {
        const body = stanza.getChildText('body')
        if (body) acked.push(JSON.parse(body).content)
      })
      const { xml } = await import('@xmpp/client')
      let running = true
      const sending = (async () => {
        while (running) {
          const content = String(++next)
          const stanza = xml(
            'message',
            { to: to.bare, type: 'chat' },
            xml('body', {}, textMessage(alice, bob, content)),
          )
          await from.client.send(stanza as never).catch(() => {
            running = false
          })
          if (next % 20 === 0) from.write("<r xmlns='urn:xmpp:sm:3'/>").catch(() => {})
          if (next % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
        }
      })()
      const goal = delivered.length + 400
      await eventually(() => delivered.length + to.messages().length > goal)
      await prosody.end('SIGKILL')
      running = false
      await sending
      delivered.push(...to.contents())
      note()
      await prosody.start()
      taken = await archive(prosody)
    }
    const last = await eventually(() => taken.starts[0])
    await eventually(() => {
      note()
      return stored.size === last.last
    })
    const contents = new Set([...stored.values()].map((body) => JSON.parse(body).content))
    t.strictSame(
      [...stored.keys()].sort((a, b) => a - b),
      numbers(1, stored.size),
    )
    t.strictSame(
      acked.filter((content) => !contents.has(content)),
      [],
    )
    t.strictSame(
      delivered.filter((content) => !contents.has(content)),
      [],
    )
    t.ok(acked.length > 100 && delivered.length > 1000, `${acked.length} acked, ${delivered.length} delivered`)
    // Whatever was stored reached bob: live, or from offline storage now.
    const to = await new Person(prosody, bob, 'android').online()
    const seen = new Set(delivered)
    await eventually(() => {
      for (const content of to.contents()) seen.add(content)
      return [...contents].every((content) => seen.has(content as string))
    })
  })
}
