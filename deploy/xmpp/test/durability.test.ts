/**
 * On the disk before anything else. Where order matters, the test stands in for the program that calls fdatasync: no kill
 * -9 shows a sync that was never asked for.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { type Test, test } from 'tap'
import { alice, bob, Client, carol, contentOf, join, newId, sm } from './client.ts'
import { eventually, within } from './eventually.ts'
import { delivery, startMessageService } from './message-service.ts'
import { freePorts, Prosody, startProsody } from './prosody.ts'
import { startSyncHelper, syncByTest } from './sync-helper.ts'

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

const countsOf = (client: Client) =>
  client.elements.filter(({ name }) => name === 'a').map(({ attrs }) => Number(attrs['h']))

const logText = async ({ dataDir }: Prosody) => {
  const folder = joinPath(dataDir, 'log')
  const files = (await readdir(folder)).filter((name) => name.endsWith('.log')).sort()
  return (await Promise.all(files.map((name) => readFile(joinPath(folder, name), 'utf8')))).join('')
}

test('nothing is handed over, acknowledged or resumed before the disk has it', async (t) => {
  const prosody = await startProsody(t, syncByTest)
  const disk = await startSyncHelper(t, prosody)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  from.send(bob, '1')
  await eventually(() => service.entries.length === 1)
  t.equal(await from.askCount(), 2)
  disk.hold()
  from.send(bob, '2')
  from.write(`<r xmlns='${sm}'/>`)
  await disk.waiting()
  await from.sync() // an answer to <r/> would have come before this one
  t.strictSame(countsOf(from), [2])
  t.strictSame(service.contents(), ['1'])
  await from.vanish()
  const back = new Client(prosody, alice)
  t.equal((await back.resume(from)).attrs['h'], '2', 'neither the message nor what came after it')
  t.strictSame(service.contents(), ['1'])
  back.send(bob, 'sent again')
  back.write(`<r xmlns='${sm}'/>`)
  await back.sync()
  disk.answer()
  await eventually(() => service.contents().includes('2'))
  await disk.waiting()
  await back.sync()
  t.strictSame(countsOf(back), [], 'what came before the resumption counts no more')
  disk.release()
  await eventually(() => service.contents().includes('sent again'))
  await eventually(() => countsOf(back).at(-1) === 5) // with two pings
  back.send(bob, '3')
  await eventually(() => service.contents().includes('3'))
  t.equal(await back.askCount(), 6)
})

test('an acknowledgement that was asked for comes when the disk has what was before it', async (t) => {
  const prosody = await startProsody(t, syncByTest)
  const disk = await startSyncHelper(t, prosody)
  await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  disk.hold()
  from.send(bob, '1')
  from.write(`<r xmlns='${sm}'/>`)
  await disk.waiting()
  from.send(bob, '2') // in the next group
  from.write(`<r xmlns='${sm}'/>`)
  await from.sync()
  t.strictSame(countsOf(from), [])
  disk.answer()
  await eventually(() => countsOf(from).length === 1) // also when there is always something on its way
  await disk.waiting()
  disk.release()
  await eventually(() => countsOf(from).length === 2)
  t.strictSame(countsOf(from), [2, 4])
})

for (const end of ['by the client', 'by us', 'and cannot be resumed'] as const) {
  test(`the last count of a stream that is closed ${end} is of what the disk has`, async (t) => {
    const prosody = await startProsody(t, { ...syncByTest, XMPP_RESUME_SECONDS: '0.1' })
    const disk = await startSyncHelper(t, prosody)
    const service = await startMessageService(t, prosody)
    const from = await join(prosody, alice)
    const id = await service.stream(from.jid)
    disk.hold()
    from.send(bob, '1')
    await disk.waiting()
    if (end === 'by the client') {
      from.write('</stream:stream>')
      await eventually(() => from.closed)
      t.strictSame(countsOf(from), [0])
    } else if (end === 'by us') {
      await join(prosody, alice)
      t.equal(await from.streamError(), 'conflict')
      t.strictSame(countsOf(from), [0])
    } else {
      await from.vanish()
      await eventually(async () => (await prosody.metric('im_streams')) === 0)
    }
    const failed = await new Client(prosody, alice).resume(from)
    t.strictSame([failed.name, failed.attrs['h']], ['failed', '0'])
    t.notOk(service.ended.has(id), 'its last entry is still on its way')
    disk.release()
    await eventually(() => service.ended.has(id))
    t.strictSame(service.contents(), ['1'])
    const later = await new Client(prosody, alice).resume(from)
    t.strictSame([later.name, later.attrs['h']], ['failed', '2'])
  })
}

test('the folders of new files are synced with them', async (t) => {
  const prosody = await startProsody(t, { ...syncByTest, XMPP_LOG_SEGMENT_BYTES: '1000' })
  const disk = await startSyncHelper(t, prosody)
  const from = await join(prosody, alice)
  for (const i of numbers(1, 10)) {
    from.send(bob, String(i))
    await from.askCount()
  }
  t.ok(disk.asked.includes(prosody.dataDir))
  const seen = new Set<string>()
  for (const [i, path] of disk.asked.entries()) {
    if (!path.endsWith('.log') || seen.has(path)) continue
    seen.add(path)
    const near = disk.asked.slice(Math.max(0, i - 3), i + 4)
    t.ok(near.includes(joinPath(prosody.dataDir, 'log')), path)
  }
  t.ok(seen.size > 2)
})

test('what the disk refuses is refused to its sender, never handed over, and does not come back', async (t) => {
  const prosody = await startProsody(t, syncByTest)
  const disk = await startSyncHelper(t, prosody)
  const service = await startMessageService(t, prosody)
  const [from, other] = [await join(prosody, alice), await join(prosody, carol, { managed: false })]
  from.send(bob, 'before')
  await eventually(() => service.entries.length === 1)
  disk.automatic = 'Input/output error'
  const refused = [newId(), newId()]
  from.send(bob, 'refused 1', { id: refused[0]! })
  other.send(bob, 'refused 2', { id: refused[1]! })
  t.equal(await from.refusal(refused[0]!), 'internal-server-error')
  t.equal(await other.refusal(refused[1]!), 'internal-server-error')
  t.equal(await from.askCount(), 3, 'what was answered is handled')
  t.notMatch(await logText(prosody), 'refused')
  await prosody.end('SIGKILL')
  await prosody.start()
  await startSyncHelper(t, prosody)
  const again = await startMessageService(t, prosody)
  const back = await join(prosody, alice)
  back.send(bob, 'after')
  await eventually(() => again.contents().includes('after'))
  t.strictSame([...new Set([...service.contents(), ...again.contents()])], ['before', 'after'])
})

test('a refused group is a hole for the message service, and what follows goes on', async (t) => {
  const prosody = await startProsody(t, syncByTest)
  const disk = await startSyncHelper(t, prosody)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  let asked = 0
  for (const content of ['1', '2', '3']) {
    disk.automatic = content === '2' ? 'Input/output error' : 'ok'
    asked = disk.asked.length
    from.send(bob, content)
    await from.askCount()
  }
  const synced = new Set(disk.asked.slice(asked).filter((path) => path.endsWith('.log')))
  t.equal(synced.size, 2, 'what was written over the refused group is brought to the disk with the next one')
  await eventually(() => service.entries.length === 2)
  t.strictSame(
    service.frames
      .filter(({ name }) => name === 'entry' || name === 'hole')
      .map(({ attrs }) => attrs['seq'] ?? attrs['from']),
    ['1', '2', '3'],
  )
  t.equal(await prosody.metric('im_log_refused_groups_total'), 1)
})

test('a sender is told what was refused, but not of what they send again, nor when it may come back', async (t) => {
  const prosody = await startProsody(t, syncByTest)
  const disk = await startSyncHelper(t, prosody)
  await startMessageService(t, prosody)
  const lost = await join(prosody, alice)
  disk.hold()
  lost.send(bob, '1')
  await disk.waiting()
  await lost.vanish()
  const back = new Client(prosody, alice)
  t.equal((await back.resume(lost)).name, 'resumed')
  disk.answer('Input/output error')
  await eventually(() => prosody.metric('im_log_refused_groups_total'))
  back.send(bob, '2')
  await disk.waiting()
  // What was written can't be written over.
  execFileSync('prlimit', ['--pid', String(prosody.pid), '--fsize=1:'])
  disk.answer('Input/output error')
  t.equal(await back.streamError(), 'internal-server-error')
  t.notOk(back.elements.some(({ attrs }) => attrs['type'] === 'error'))
})

test('a disk that does not answer holds only messages up, and refuses them in the end', async (t) => {
  const prosody = await startProsody(t, { ...syncByTest, XMPP_SYNC_SECONDS: '1' })
  const disk = await startSyncHelper(t, prosody)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  disk.hold()
  const id = newId()
  from.send(bob, 'x', { id })
  await disk.waiting()
  await join(prosody, bob) // logins and everything else go on
  await from.sync()
  t.equal(await from.refusal(id), 'internal-server-error')
  t.strictSame(service.contents(), [])
  disk.release() // late: the answer to a question nobody waits for any more
  from.send(bob, 'y')
  await eventually(() => service.contents().includes('y'))
  t.strictSame(service.contents(), ['y'])
})

test('while too many wait for the disk, new ones are refused and reading pauses', async (t) => {
  const prosody = await startProsody(t, { ...syncByTest, XMPP_SYNC_SECONDS: '300' })
  const disk = await startSyncHelper(t, prosody)
  const service = await startMessageService(t, prosody)
  const senders = await Promise.all(numbers(100, 139).map((i) => join(prosody, `10000${i}`)))
  disk.hold()
  const waiting = () => prosody.metric('im_log_gathering_entries')
  for (const sender of senders) for (const i of numbers(1, 300)) sender.send(bob, String(i))
  await eventually(async () => (await waiting()) >= 2000)
  const errors = () => senders.flatMap(({ elements }) => elements.filter(({ attrs }) => attrs['type'] === 'error'))
  t.equal(errors().length, 0, 'first they are read slowly')
  await eventually(() => errors().length > 0, 60_000)
  t.ok((await waiting()) <= 10_000)
  t.ok(errors().every((error) => error.getChild('error')?.getChild('resource-constraint')))
  disk.release()
  await eventually(() => service.entries.length + errors().length === 12_000, 60_000)
  for (const sender of senders) {
    const sent = service.entries
      .filter(({ from }) => from === sender.jid)
      .map(({ stanza }) => Number(contentOf(stanza)))
    if (sent.some((content, i) => i > 0 && content <= sent[i - 1]!)) t.fail(`order of ${sender.jid}`)
  }
})

test('while thousands wait for the disk, a sender who goes on is read slowly', async (t) => {
  const prosody = await startProsody(t, { ...syncByTest, XMPP_SYNC_SECONDS: '300' })
  const disk = await startSyncHelper(t, prosody)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  disk.hold()
  for (const i of numbers(1, 5000)) from.send(bob, String(i))
  const waiting = () => prosody.metric('im_log_gathering_entries')
  await eventually(async () => (await waiting()) >= 2000)
  await new Promise((resolve) => setTimeout(resolve, 500))
  t.ok((await waiting()) < 3500, `${await waiting()} are in memory`)
  disk.release()
  await eventually(() => service.entries.length === 5000, 30_000)
})

test('a sync helper that dies is replaced, and what it was asked is asked again', async (t) => {
  const prosody = await startProsody(t, syncByTest)
  const disk = await startSyncHelper(t, prosody)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  disk.hold()
  from.send(bob, '1')
  await disk.waiting()
  disk.socket.destroy()
  const next = await startSyncHelper(t, prosody)
  await eventually(() => service.contents().includes('1'))
  t.ok(next.asked.length > 0)
})

test('a sync helper that answers nothing several times is replaced', async (t) => {
  const prosody = await startProsody(t, { ...syncByTest, XMPP_SYNC_SECONDS: '0.2' })
  const disk = await startSyncHelper(t, prosody)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  let isGone = false
  disk.socket.on('close', () => (isGone = true))
  disk.hold()
  for (let tries = 0; !isGone && tries < 20; tries++) {
    const id = newId()
    from.send(bob, 'refused', { id })
    t.equal(await from.refusal(id), 'internal-server-error')
  }
  t.ok(isGone)
  await startSyncHelper(t, prosody)
  from.send(bob, 'again')
  await eventually(() => service.contents().includes('again'))
})

/** Processes of a program in a folder. */
function processesIn(folder: string, program: RegExp): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`) === folder && program.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
      } catch {
        return false
      }
    })
    .map(Number)
}

test('the real helper goes with its server and comes back when it is killed', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const from = await join(prosody, alice)
  const helpers = () => processesIn(prosody.dataDir, /sync-files/)
  await eventually(() => helpers().length === 1)
  for (const i of numbers(1, 3)) {
    const [pid] = helpers()
    process.kill(pid!, 'SIGKILL')
    from.send(bob, String(i))
    await eventually(() => service.entries.length === i)
    await eventually(() => helpers().length === 1 && helpers()[0] !== pid)
    t.not(helpers()[0], pid, 'another helper does the work')
  }
  await prosody.end('SIGKILL')
  await eventually(() => helpers().length === 0)
})

test('a second server on the same folder does not start', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const second = new Prosody(prosody.dataDir, await freePorts(3), prosody.users, {})
  const [code] = await within(once(second.launch(), 'exit'), 'the second server ends')
  t.equal(code, 1)
  t.match(second.log, 'Another server is running')
  const from = await join(prosody, alice)
  from.send(bob, 'x')
  await eventually(() => service.entries.length === 1)
  await prosody.end('SIGKILL')
  await prosody.start() // the lock goes with the process
})

/** A small disk: fill() takes what is left of it, free() gives it back. */
async function smallDisk(t: Test, kind: 'tmpfs' | 'limit') {
  const disk = await mkdtemp(joinPath(tmpdir(), 'xmpp-'))
  const folder = joinPath(disk, 'data')
  if (kind === 'limit') {
    const limit = (prosody: Prosody, bytes: string) =>
      execFileSync('prlimit', ['--pid', String(prosody.pid), `--fsize=${bytes}:`])
    return {
      folder,
      fill: (prosody: Prosody) => {
        const log = joinPath(folder, 'log')
        const sizes = readdirSync(log).map((name) => statSync(joinPath(log, name)).size)
        limit(prosody, String(Math.max(...sizes) + 100))
      },
      free: (prosody: Prosody) => limit(prosody, 'unlimited'),
    }
  }
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk])
  t.teardown(() => execFileSync('umount', ['-l', disk]))
  const filler = joinPath(disk, 'filler')
  return {
    folder,
    fill: () => {
      for (const size of [65536, 4096, 1]) {
        try {
          for (;;) writeFileSync(filler, 'x'.repeat(size), { flag: 'a' })
        } catch {}
      }
    },
    free: () => rmSync(filler),
  }
}

// A file system of one's own needs root; a limit of the size of files fails in the middle of a write, too.
for (const kind of process.getuid?.() === 0 ? (['tmpfs', 'limit'] as const) : (['limit'] as const)) {
  test(`a full disk (${kind}) loses nothing that was acknowledged`, async (t) => {
    const disk = await smallDisk(t, kind)
    const prosody = await startProsody(t, {}, disk.folder)
    const service = await startMessageService(t, prosody, { stores: false })
    const from = await join(prosody, alice)
    const accepted: string[] = []
    const refused: string[] = []
    const send = async (content: string) => {
      const id = newId()
      from.send(bob, `${content} ${'x'.repeat(500)}`, { id })
      await from.askCount()
      const isRefused = from.elements.some(({ attrs }) => attrs['id'] === id && attrs['type'] === 'error')
      if (isRefused) refused.push(content)
      else accepted.push(content)
    }
    for (const round of numbers(1, 3)) {
      for (const i of numbers(1, 10)) await send(`before ${round}.${i}`)
      disk.fill(prosody)
      for (let tries = 0; refused.length < round * 10 && tries < 500; tries++)
        await send(`full ${round} ${refused.length} ${accepted.length}`)
      service.stored(service.entries.at(-1)!.seq) // marks are to be written, too
      await new Promise((resolve) => setTimeout(resolve, 200))
      for (const i of numbers(1, 3)) await send(`full still ${round}.${i}`)
      disk.free(prosody)
      for (const i of numbers(1, 10)) await send(`after ${round}.${i}`)
    }
    t.ok(refused.length >= 30)
    t.equal(prosody.log.match(/can't be written: .* make room in /g)?.length, 1, 'one line tells what to do')
    await eventually(() => service.entries.length === accepted.length)
    await prosody.end('SIGKILL')
    await prosody.start()
    const again = await startMessageService(t, prosody)
    const last = await join(prosody, alice)
    last.send(bob, 'end')
    await eventually(() => again.contents().includes('end'))
    const contents = again.contents().map((content) => content.split(' x')[0])
    t.strictSame(contents, [...accepted, 'end'])
  })
}

test('the log is bounded: beyond it new messages are refused, until segments are released', async (t) => {
  const prosody = await startProsody(t, { XMPP_LOG_MAX_BYTES: '100000', XMPP_LOG_SEGMENT_BYTES: '20000' })
  const service = await startMessageService(t, prosody, { stores: false })
  const from = await join(prosody, alice)
  const send = async (content: string) => {
    const id = newId()
    from.send(bob, `${content} ${'x'.repeat(3000)}`, { id })
    await from.askCount()
    return from.elements
      .find(({ attrs }) => attrs['id'] === id)
      ?.getChild('error')
      ?.getChildElements()[0]?.name
  }
  let taken = 0
  while (taken < 100 && (await send('fills')) === undefined) taken++
  t.ok(taken > 20 && taken < 34, String(taken))
  t.equal(await send('more'), 'resource-constraint')
  t.equal(await send('still more'), 'resource-constraint')
  t.equal(prosody.log.match(/The log is full: XMPP_LOG_MAX_BYTES is 100000/g)?.length, 1, 'one line tells why')
  t.ok((await prosody.metric('im_log_bytes')) <= 100_000)
  await eventually(() => service.entries.length === taken)
  service.stored(taken)
  service.released(taken)
  await eventually(async () => (await prosody.metric('im_log_bytes')) < 50_000)
  t.equal(await send('again'), undefined)
})

test('SIGTERM: what was read is in the log, and who resumes is told how much that is', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody, { stores: false })
  const [from, sleeping] = [await join(prosody, alice), await join(prosody, carol)]
  sleeping.send(bob, 'asleep')
  await sleeping.askCount()
  await sleeping.vanish()
  for (const i of numbers(1, 2000)) from.send(bob, String(i))
  await eventually(() => service.entries.length > 0)
  await prosody.end('SIGTERM')
  await eventually(() => from.closed)
  t.equal(await from.streamError(), 'system-shutdown')
  await prosody.start()
  const again = await startMessageService(t, prosody)
  const failed = await new Client(prosody, alice).resume(from)
  t.equal(failed.name, 'failed')
  t.equal(Number(failed.attrs['h']), countsOf(from).at(-1), 'as the last acknowledgement said')
  await eventually(
    () => again.entries.length === again.seqs().at(-1) && again.seqs().at(-1) === Number(again.hello['last']),
  )
  const mine = again.entries.filter(({ from: jid }) => jid === from.jid)
  t.equal(mine.length, Number(failed.attrs['h']) - 1) // the presence
  t.strictSame(
    mine.map(({ stanza }) => contentOf(stanza)),
    numbers(1, mine.length).map(String),
  )
  const other = await new Client(prosody, carol).resume(sleeping)
  t.strictSame([other.name, other.attrs['h']], ['failed', '2'])
})

test('SIGTERM: the message service gets what was read, and releases it, before the end', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody, { stores: false })
  const from = await join(prosody, alice)
  for (const i of numbers(1, 300)) from.send(bob, String(i))
  await eventually(() => service.contents().length === 300)
  const ended = prosody.end('SIGTERM')
  await eventually(() => from.closed)
  t.equal(await from.streamError(), 'system-shutdown')
  const [refusal] = await within(once(connect(prosody.port, '127.0.0.1'), 'error'), 'a refusal')
  t.equal(refusal.code, 'ECONNREFUSED', 'nobody is let in')
  const last = service.seqs().at(-1)!
  service.stored(last)
  service.released(last)
  await ended
  await prosody.start()
  const again = await startMessageService(t, prosody)
  t.equal(again.hello['released'], again.hello['last'])
})

test('SIGTERM: a stream is closed when its client has confirmed what it was given, so that nobody gets it again', async (t) => {
  const prosody = await startProsody(t)
  const service = await startMessageService(t, prosody)
  const [idle, busy, silent] = [await join(prosody, alice), await join(prosody, bob), await join(prosody, carol)]
  const [id, other] = [await service.stream(busy.jid), await service.stream(silent.jid)]
  service.deliver(id, delivery('1'), delivery('2'))
  service.deliver(other, delivery('1'))
  await eventually(() => busy.contents().length === 2 && silent.contents().length === 1)
  const ended = prosody.end('SIGTERM')
  await eventually(() => idle.closed)
  t.notOk(busy.closed)
  busy.ack()
  await eventually(() => busy.closed)
  await eventually(() => service.confirmed.get(id) === 2)
  t.equal(await busy.streamError(), 'system-shutdown')
  await ended
  t.ok(silent.closed, 'who confirms nothing is not waited for for long')
  t.equal(service.confirmed.get(other) ?? 0, 0)
})

test('SIGTERM while the message service is away: who may wait (XMPP_END_SECONDS) does, the others say what they keep', async (t) => {
  const prosody = await startProsody(t)
  const from = await join(prosody, alice)
  for (const i of numbers(1, 20)) from.send(bob, String(i))
  await from.askCount()
  await from.vanish()
  await prosody.end('SIGTERM')
  t.match(prosody.log, /Ends with 20 entries that the message service has not released/)
  await prosody.start({ XMPP_END_SECONDS: '60' })
  const ended = prosody.end('SIGTERM')
  await new Promise((resolve) => setTimeout(resolve, 300)) // others would have ended
  const service = await startMessageService(t, prosody, { releases: false })
  await eventually(() => service.contents().length === 20)
  service.released(service.seqs().at(-1)!)
  await ended
  await prosody.start()
  const again = await startMessageService(t, prosody)
  t.equal(again.hello['released'], again.hello['last'])
})

test('SIGTERM in the middle of work: nothing is cut off', async (t) => {
  const prosody = await startProsody(t)
  for (const round of numbers(1, 8)) {
    const service = await startMessageService(t, prosody)
    const from = await join(prosody, alice)
    for (const i of numbers(1, 3000)) from.send(bob, String(i))
    await eventually(() => service.entries.length > 80 * round)
    await prosody.end('SIGTERM')
    t.notMatch(prosody.log, /traceback/i)
    await prosody.start()
  }
})

test('kill -9 under load: what was acknowledged is in the log, once, and numbers go on', async (t) => {
  const prosody = await startProsody(t)
  const entries = new Map<number, string>()
  const acknowledged: string[] = []
  let next = 0
  const connect = async (releases: boolean) => {
    const service = await startMessageService(t, prosody, { releases })
    const note = () => {
      for (const frame of service.frames.splice(0)) {
        if (frame.name !== 'entry') continue
        const [seq, text] = [Number(frame.attrs['seq']), frame.toString()]
        if ((entries.get(seq) ?? text) !== text) t.fail(`entry ${seq} changed`)
        entries.set(seq, text)
      }
      return entries.size
    }
    return { service, note }
  }
  for (const round of numbers(1, 4)) {
    const { note } = await connect(round % 2 === 0)
    const from = await join(prosody, alice)
    const sent: string[] = []
    let counted = 1 // the presence
    from.onElement = ({ name, attrs }) => {
      if (name !== 'a') return
      acknowledged.push(...sent.splice(0, Number(attrs['h']) - counted))
      counted = Number(attrs['h'])
    }
    const goal = note() + 300
    const end = Date.now() + 30_000
    // On a busy machine the message service hears of entries long before the client reads acknowledgements.
    const isEnough = () => note() >= goal && acknowledged.length > 60 * round
    while (!isEnough() && Date.now() < end) {
      for (const _ of numbers(1, 20)) {
        sent.push(String(++next))
        from.send(bob, String(next))
      }
      from.write(`<r xmlns='${sm}'/>`)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await prosody.end('SIGKILL')
    await eventually(() => from.closed)
    note()
    await prosody.start()
  }
  const { service, note } = await connect(true)
  const last = Number(service.hello['last'])
  await eventually(() => note() === last)
  const contents = [...entries.values()].map((text) => /"content":"(\d+)"/.exec(text)?.[1])
  const known = new Set(contents)
  t.equal(known.size, contents.length, 'once')
  t.ok(acknowledged.length > 200, `${acknowledged.length} acknowledged`)
  t.strictSame(
    acknowledged.filter((content) => !known.has(content)),
    [],
  )
})
