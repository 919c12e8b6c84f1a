import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { crc32, deflateSync } from 'node:zlib'
import { errors } from '@im/contracts'
import { internalFiles, storedFiles } from '@im/contracts/message'
import { createLogger, type Logger, StoreAwayError } from '@im/service-kit'
import { eventually, failure, watchQueries } from '@im/service-kit/testing'
import sharp from 'sharp'
import { test } from 'tap'
import { doRemovals, removeExpired } from '../src/files/do-removals.ts'
import { avatarKeyOf, fileKeyOf, roomAvatarKey } from '../src/files/file-keys.ts'
import { Images } from '../src/files/images.ts'
import { Staging } from '../src/files/staging.ts'
import { shownFiles } from '../src/messages/new-document.ts'
import { slowJpeg } from './slow-jpeg.ts'
import { base, formOf, photo, startFiles, type Uploaded, uploadPath } from './start-files.ts'

const one = ([first]: readonly Uploaded[]) => first as Uploaded
const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer())

test('files of a form are stored, listed by their kind and read with Range, ETag and HEAD', async (t) => {
  const { send, read, person } = await startFiles(t)
  const alice = person()
  const text = randomBytes(300_000)
  const answer = await send(
    uploadPath,
    formOf(
      { userId: String(alice), validTime: '-1.0', uploadFlag: '1' },
      ['a.PNG', await photo(800, 600)],
      ['v.amr', 'voice'],
      ['m.MP4', 'film'],
      ['report.docx', text],
    ),
    { as: alice },
  )
  t.match(answer, { resultCode: 1, total: 4, success: 4, failure: 0 })
  t.type(answer.time, 'number')
  const { images, audios, videos, files, others } = answer.data
  t.strictSame(files, [])
  t.match(images, [{ oFileName: 'a.PNG', status: 1 }])
  t.match(
    one(images).oUrl,
    new RegExp(`^${base}u/${alice % 10000}/${alice}/\\d{6}/o/[0-9a-f]{32}\\.jpg$`),
    'by its content',
  )
  t.equal(one(images).tUrl, one(images).oUrl.replace('/o/', '/t/'))
  for (const [list, type] of [
    [audios, 'audio/amr'],
    [videos, 'video/mp4'],
  ] as const) {
    t.match(one(list).oUrl, /\/f\/[0-9a-f]{32}\./)
    t.equal(one(list).tUrl, one(list).oUrl)
    t.equal((await read(one(list).oUrl)).headers.get('content-type'), type)
  }

  const { oUrl } = one(others)
  const whole = await read(oUrl)
  t.equal(whole.status, 200)
  t.strictSame(await bytesOf(whole), text)
  t.match(Object.fromEntries(whole.headers), {
    'content-type': 'application/octet-stream',
    'content-disposition': 'attachment',
    'x-content-type-options': 'nosniff',
    'accept-ranges': 'bytes',
    'cache-control': 'public, max-age=31536000, immutable',
    'content-length': '300000',
  })
  const etag = whole.headers.get('etag') ?? ''
  t.match(etag, /^"[^"]+"$/)
  const unchanged = await read(oUrl, { headers: { 'if-none-match': etag } })
  t.equal(unchanged.status, 304)
  t.equal(unchanged.headers.get('content-type'), null, 'caches would take it for that of what they keep')
  t.equal((await read(oUrl, { headers: { 'if-none-match': '"other"' } })).status, 200)
  const part = async (range: string, more: Record<string, string> = {}) => {
    const answer = await read(oUrl, { headers: { range, ...more } })
    return [answer.status, answer.headers.get('content-range'), await bytesOf(answer)] as const
  }
  t.strictSame(await part('bytes=100-199'), [206, 'bytes 100-199/300000', text.subarray(100, 200)])
  t.strictSame(await part('bytes=299990-'), [206, 'bytes 299990-299999/300000', text.subarray(299_990)])
  t.strictSame(await part('bytes=-5', { 'if-range': etag }), [
    206,
    'bytes 299995-299999/300000',
    text.subarray(299_995),
  ])
  t.strictSame((await part('bytes=0-9', { 'if-range': '"old"' })).slice(0, 2), [200, null])
  t.strictSame((await part('bytes=300000-')).slice(0, 2), [416, 'bytes */300000'])
  t.strictSame((await part('bytes=0-9', { 'if-range': `W/${etag}` }))[0], 200, 'a weak tag tells no two bytes apart')
  const changed = Date.parse(whole.headers.get('last-modified') ?? '')
  const at = (seconds: number) => new Date(changed + seconds * 1000).toUTCString()
  const statusOf = async (headers: Record<string, string>) => (await read(oUrl, { headers })).status
  for (const [seconds, status] of [
    [0, 206],
    [-1, 200],
    [1, 200],
  ] as const)
    t.equal(await statusOf({ range: 'bytes=0-9', 'if-range': at(seconds) }), status, `If-Range ${seconds} s`)
  t.strictSame(
    [await statusOf({ 'if-modified-since': at(0) }), await statusOf({ 'if-modified-since': at(-1) })],
    [304, 200],
  )
  t.equal(await statusOf({ 'if-none-match': '"other"', 'if-modified-since': at(0) }), 200, 'the tag comes first')
  for (const range of ['bytes=0-1,5-6', 'lines=1-2', 'bytes=9-2', 'nonsense'])
    t.equal((await part(range))[0], 200, range)
  const head = await read(oUrl, { method: 'HEAD', headers: { range: 'bytes=0-9' } })
  t.equal(head.status, 200, 'only a GET is for a part')
  t.strictSame([head.status, head.headers.get('content-length'), (await bytesOf(head)).length], [200, '300000', 0])
})

test('thumbnails and avatars are JPEG, the right way up, and say nothing about their photographer', async (t) => {
  const { send, read, person } = await startFiles(t)
  const alice = person()
  const sent = await photo(900, 600)
  t.ok(sent.includes('secret camera'))
  const { data } = await send(uploadPath, formOf({}, ['p.jpg', sent]), { as: alice })
  t.strictSame(await bytesOf(await read(one(data.images).oUrl)), sent, 'the image itself stays as it was sent')
  const thumbnail = await read(one(data.images).tUrl)
  t.equal(thumbnail.headers.get('content-type'), 'image/jpeg')
  const small = await bytesOf(thumbnail)
  t.match(await sharp(small).metadata(), { format: 'jpeg', width: 300, height: 200 })
  t.notOk(small.includes('secret camera'))

  const avatar = await send('/upload/UploadAvatarServlet', formOf({ userId: String(alice) }, ['file.jpg', sent]), {
    as: alice,
  })
  t.strictSame(avatar.data, {
    oUrl: `${base}avatar/o/${alice % 10000}/${alice}.jpg`,
    tUrl: `${base}avatar/t/${alice % 10000}/${alice}.jpg`,
  })
  for (const [url, width, height] of [
    [avatar.data.oUrl, 900, 600],
    [avatar.data.tUrl, 200, 200],
  ] as const) {
    const answer = await read(url)
    t.equal(answer.headers.get('cache-control'), 'no-cache')
    const bytes = await bytesOf(answer)
    t.match(await sharp(bytes).metadata(), { format: 'jpeg', width, height })
    t.equal((await sharp(bytes).metadata()).exif, undefined)
  }
  const etag = (await read(avatar.data.oUrl)).headers.get('etag') ?? ''
  t.equal((await read(avatar.data.oUrl, { headers: { 'if-none-match': etag } })).status, 304)
  const transparent = await sharp({ create: { width: 50, height: 50, channels: 4, background: '#0000' } })
    .png()
    .toBuffer()
  const frames = await Promise.all(
    ['red', 'blue'].map((background) =>
      sharp({ create: { width: 40, height: 30, channels: 3, background } })
        .png()
        .toBuffer(),
    ),
  )
  const film = await sharp(frames, { join: { animated: true } })
    .gif()
    .toBuffer()
  const moving = one((await send(uploadPath, formOf({}, ['film.gif', film]), { as: alice })).data.images)
  t.match(await sharp(await bytesOf(await read(moving.tUrl))).metadata(), { format: 'jpeg', width: 40, height: 30 })
  await send('/upload/UploadifyAvatarServlet', formOf({}, ['x', transparent]), { as: alice })
  const changed = await read(avatar.data.oUrl, { headers: { 'if-none-match': etag } })
  t.equal(changed.status, 200, 'another avatar has another tag')
  t.strictSame(
    [
      ...(
        await sharp(await bytesOf(changed))
          .raw()
          .toBuffer()
      ).subarray(0, 3),
    ],
    [255, 255, 255],
  )
})

/** 64 × 48 pixels, the left half blue, the right half red; as an iPhone writes photos. */
const heic = Buffer.from(
  `
AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAAAAAERAAAEA
AQAAAAABoQABAAAAAAAAACQAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmND
AQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAA
AAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAA
Av////AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAACxtZGF0AAAAICgBrxmA70mlv//nuUR8437+wsheF2Lx/0BV58Y8
DbW8`,
  'base64',
)

/** The same as an old Windows program writes it: 24 bits, the lowest line first. */
function makeBmp(width = 64, height = 48): Buffer {
  const head = Buffer.alloc(54)
  head.write('BM')
  head.writeUInt32LE(54 + 64 * 48 * 3, 2)
  head.writeUInt32LE(54, 10)
  head.writeUInt32LE(40, 14)
  head.writeInt32LE(width, 18)
  head.writeInt32LE(height, 22)
  head.writeUInt16LE(1, 26)
  head.writeUInt16LE(24, 28)
  const line = Buffer.concat([
    Buffer.alloc(32 * 3, Buffer.from([220, 60, 20])),
    Buffer.alloc(32 * 3, Buffer.from([40, 30, 200])),
  ])
  return Buffer.concat([head, ...Array<Buffer>(48).fill(line)])
}

test('photos in HEIC and BMP have thumbnails and may be avatars', async (t) => {
  const { send, read, person } = await startFiles(t)
  const alice = person()
  for (const [name, content] of [
    ['IMG_1.HEIC', heic],
    ['scan.bmp', makeBmp()],
  ] as const) {
    const extension = name.slice(-4).replace('.', '').toLowerCase()
    const image = one((await send(uploadPath, formOf({}, [name, content]), { as: alice })).data.images)
    t.ok(image.oUrl.endsWith(`.${extension}`) && image.tUrl.includes('/t/'), image.tUrl)
    t.strictSame(await bytesOf(await read(image.oUrl)), content, 'the image itself stays as it was sent')
    const { data } = await send('/upload/UploadAvatarServlet', formOf({}, [name, content]), { as: alice })
    for (const url of [image.tUrl, data.oUrl]) {
      const shown = sharp(await bytesOf(await read(url)))
      t.match(await shown.metadata(), { format: 'jpeg', width: 64, height: 48 })
      const pixels = await shown.raw().toBuffer()
      const [left, right] = [pixels.subarray(0, 3), pixels.subarray(63 * 3, 64 * 3)]
      t.ok(left[2]! > 150 && left[0]! < 100 && right[0]! > 150 && right[2]! < 100, `${name}: blue, then red`)
    }
  }
  for (const [name, content] of [
    ['large.bmp', makeBmp(10_000, 10_000)],
    ['cut.bmp', makeBmp().subarray(0, 200)],
    ['cut.heic', heic.subarray(0, 300)],
  ] as const) {
    t.match(await send('/upload/UploadAvatarServlet', formOf({}, [name, content]), { as: alice }), {
      resultCode: 1500103,
    })
    const image = one((await send(uploadPath, formOf({}, [name, content]), { as: alice })).data.images)
    t.equal(image.tUrl, image.oUrl, 'as a file it is kept as it is')
  }
})

test('an avatar tells the other devices of its owner', async (t) => {
  const { send, person, db } = await startFiles(t)
  const alice = person()
  await send('/upload/UploadAvatarServlet', formOf({}, ['a.jpg', await photo(30, 30)]), { as: alice })
  const rows = await db.collection('mailbox').find({ user: alice }).toArray()
  t.match(JSON.stringify(rows), /\\"type\\":801|"type":801/)
})

test('a form shows its token wherever it stands', async (t) => {
  const { send, signIn, person } = await startFiles(t)
  const alice = person()
  const token = signIn(alice)
  t.match(await send(uploadPath, formOf({ access_token: token }, ['a.txt', 'x'])), { resultCode: 1 })
  const late = formOf({}, ['a.txt', 'x'])
  late.append('access_token', token)
  t.match(await send(uploadPath, late), { resultCode: 1 }, 'after the files')
  t.match(await send(`${uploadPath}?access_token=${token}`, formOf({}, ['a.txt', 'x'])), { resultCode: 1 })
  t.match(await send(uploadPath, formOf({}, ['a.txt', 'x']), { headers: { authorization: `Bearer ${token}` } }), {
    resultCode: 1,
  })
  const refused = async (answer: Promise<{ resultCode: number }>) => (await answer).resultCode
  t.equal(await refused(send(uploadPath, formOf({}, ['a.txt', 'x']))), errors.TokenMissing.code)
  t.equal(await refused(send(uploadPath, formOf({ access_token: 'no' }, ['a.txt', 'x']))), errors.TokenInvalid.code)
  const twice = formOf({ access_token: token, userId: String(alice) }, ['a.txt', 'x'])
  twice.append('userId', '5')
  t.equal((await send(uploadPath, twice)).resultCode, 1, 'the first one counts')
  const long = formOf({}, ['a.bin', Buffer.alloc(9 * 1024 * 1024)])
  long.append('access_token', token)
  t.equal(await refused(send(uploadPath, long)), errors.FileTooLarge.code, 'what nobody answers for is short')
  t.equal(
    await refused(send(uploadPath, formOf({ access_token: token, userId: '5' }, ['a.txt', 'x']))),
    errors.PermissionDenied.code,
  )
})

test('names are shown readable and are never a path', async (t) => {
  const { send, folder, person, onDisk, url } = await startFiles(t)
  const alice = person()
  const nameOf = async (name: string) =>
    one((await send(uploadPath, formOf({}, [name, 'x']), { as: alice })).data.others).oFileName
  t.equal(await nameOf('../../../etc/会议纪要.doc'), '会议纪要.doc')
  t.equal(await nameOf('harmless\u202Ecod.exe'), 'harmlesscod.exe')
  const long = await nameOf(`${'长'.repeat(300)}.docx`)
  t.ok([...long].length === 255 && long.endsWith('长.docx'))
  t.equal(await nameOf('..'), 'file')
  t.equal(await nameOf('a\u0000b.txt'), 'ab.txt')
  for (const file of await onDisk()) t.match(file, /^u\/\d+\/\d+\/\d{6}\/f\/[0-9a-f]{32}\.(docx?|exe|txt|bin)$/)
  await writeFile(join(folder, 'secret'), 'a secret')
  const ask = async (path: string) => {
    const asked = request(url, { path })
    asked.end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    return { text: await textOf(answer), status: answer.statusCode }
  }
  for (const path of [
    '/u/1/../../../secret',
    '/u/../../../../secret',
    '/u/%2e%2e/%2e%2e/x/o/secret',
    '/u/1/10000001/202611/o/..%2f..%2f..%2f..%2f..%2fsecret',
    '/avatar/o/..%2f..%2f/secret',
    '/avatar/o/1/secret.jpg',
    '/avatar/o/1/%00.jpg',
    `/avatar/o/1/${'x'.repeat(65)}.jpg`,
  ]) {
    const { text, status } = await ask(path)
    t.match(text, /"resultCode":(1500104|1020105|10101\d\d)/, path)
    t.equal(status, 404, path.slice(0, 40))
  }
})

test('whatever a file says it is, it does nothing in a browser', async (t) => {
  const { send, read, person } = await startFiles(t)
  const alice = person()
  const script = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
  const form = formOf(
    {},
    ['x.svg', script],
    ['x.html', script],
    ['x.js', script],
    ['x.xml', script],
    ['x.jpg', script],
    ['noextension', script],
  )
  const { data } = await send(uploadPath, form, { as: alice })
  t.equal(data.images.length, 0, 'what only calls itself an image is none')
  t.equal(data.others.length, 6)
  for (const { oUrl } of data.others)
    t.match(Object.fromEntries((await read(oUrl)).headers), {
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
    })
  const polyglot = Buffer.concat([await photo(10, 10), Buffer.from(script)])
  const named = await send(uploadPath, formOf({}, ['x.html', polyglot]), { as: alice })
  t.match(named.data, { images: [], others: [{ oFileName: 'x.html' }] }, 'the name says what it is, unless it is wrong')
  const image = one((await send(uploadPath, formOf({}, ['x.html.jpg', polyglot]), { as: alice })).data.images)
  t.equal((await read(image.oUrl)).headers.get('content-type'), 'image/jpeg')
})

/** The head of a PNG that declares so many pixels, usually 60,000 × 60,000: a few bytes that would become 10 GB. */
const bomb = (side = 60_000) => makePng([side, side], [8, 6], Buffer.alloc(1_000_000))

/** All black, in one bit for each pixel. */
const blank = (side: number) => makePng([side, side], [1, 0], Buffer.alloc(side * (Math.ceil(side / 8) + 1)))

function makePng([width, height]: [number, number], [depth, colours]: [number, number], lines: Buffer): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data])
    const length = Buffer.alloc(4)
    length.writeUInt32BE(data.length)
    const sum = Buffer.alloc(4)
    sum.writeUInt32BE(crc32(body))
    return Buffer.concat([length, body, sum])
  }
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  head.set([depth, colours, 0, 0, 0], 8)
  const data = deflateSync(lines)
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', head),
    chunk('IDAT', data),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

test('images that would fill the memory, or are none, are no avatars', async (t) => {
  const { send, person, onDisk, read } = await startFiles(t)
  const alice = person()
  const avatar = async (content: Uint8Array | string) =>
    (await send('/upload/UploadAvatarServlet', formOf({}, ['a.png', content]), { as: alice })).resultCode
  const before = process.memoryUsage().rss
  t.equal(await avatar(bomb()), errors.FileTypeNotAllowed.code)
  t.ok(process.memoryUsage().rss - before < 300e6)
  t.equal(await avatar('<html>'), errors.FileTypeNotAllowed.code)
  t.equal(await avatar((await photo(500, 500)).subarray(0, 700)), errors.FileTypeNotAllowed.code, 'cut')
  t.equal(await avatar(Buffer.alloc(5 * 1024 * 1024 + 1)), errors.FileTooLarge.code)
  t.strictSame(await onDisk(), [])
  const { data } = await send(uploadPath, formOf({}, ['a.png', bomb(12_000)]), { as: alice })
  t.equal(one(data.images).tUrl, one(data.images).oUrl, 'as a file it is kept as it is')
  for (const [side, hasThumbnail] of [
    [7050, true],
    [7100, false],
  ] as const) {
    const { images } = (await send(uploadPath, formOf({}, ['a.png', blank(side)]), { as: alice })).data
    t.equal(one(images).tUrl !== one(images).oUrl, hasThumbnail, `${side} pixels a side`)
  }
  // Its pixels would take 800 MiB.
  const wide = makePng([1_000_000, 50], [8, 2], Buffer.alloc(3_000_001 * 50))
  const { images } = (await send(uploadPath, formOf({}, ['a.png', wide]), { as: alice })).data
  t.equal(one(images).tUrl, one(images).oUrl, 'of what fills the memory no small image is made')
  t.equal((await read(one(data.images).oUrl.replace('/o/', '/t/'))).headers.get('content-type'), 'image/png')
})

test('an image that declares more pixels than anybody can decode is not even kept, whatever it is called', async (t) => {
  const { send, person, onDisk, db } = await startFiles(t)
  const alice = person()
  for (const [name, content] of [
    ['a.png', bomb()],
    ['b.png', bomb(2 ** 31 - 1)],
    ['film.mp4', bomb(16_000)],
    ['', bomb()],
    ['a.bmp', makeBmp(40_000, 40_000)],
  ] as const) {
    const answer = await send(uploadPath, formOf({}, ['note.txt', 'beside it'], [name, content]), { as: alice })
    t.equal(answer.resultCode, errors.FileTypeNotAllowed.code, name)
  }
  t.strictSame(await onDisk(), [])
  t.equal(await db.collection('files').countDocuments(), 0)
})

test('a small image that takes very long to decode is not decoded', async (t) => {
  const { send, person } = await startFiles(t)
  const alice = person()
  const slow = slowJpeg(883)
  t.ok(slow.length < 300_000)
  const upload = async (content: Buffer) =>
    one((await send(uploadPath, formOf({}, ['a.jpg', content]), { as: alice })).data.images)
  const { oUrl, tUrl } = await upload(slow)
  t.equal(tUrl, oUrl, 'as a file it is kept as it is')
  const answer = await send('/upload/UploadAvatarServlet', formOf({}, ['a.jpg', slow]), { as: alice })
  t.equal(answer.resultCode, errors.FileTypeNotAllowed.code)
  const usual = await upload(slowJpeg(10))
  t.not(usual.tUrl, usual.oUrl)
})

test('whose images took long lately comes behind others', async (t) => {
  const folder = t.testdir({})
  const images = new Images(createLogger({ service: 'test', level: 'silent', format: 'json' }))
  t.after(() => images.close())
  const path = join(folder, 'large.jpg')
  await writeFile(path, slowJpeg(10))
  const done: string[] = []
  const make = async (user: number, name: string) => {
    t.ok(await images.thumbnail(user, { path, extension: 'jpg' }, join(folder, name)))
    done.push(name)
  }
  const [alice, bob, carol] = [1, 2, 3]
  await make(alice, 'first of alice')
  await Promise.all([make(bob, 'bob'), make(alice, 'second of alice'), make(carol, 'carol')])
  t.strictSame(done, ['first of alice', 'bob', 'carol', 'second of alice'])
})

test('so many images wait and no more', async (t) => {
  const images = new Images(createLogger({ service: 'test', level: 'silent', format: 'json' }))
  t.after(() => images.close())
  const path = join(t.testdir({}), 'missing')
  const waiting = Array.from({ length: 501 }, (_, user) =>
    images.check(user, { path, extension: 'jpg' }).catch(() => {}),
  )
  await eventually(() => images.waiting >= 500)
  const late = { path, extension: 'jpg' }
  await t.rejects(images.avatar(1000, late, { o: '', t: '' }), failure('ServiceUnavailable'))
  t.equal(await images.thumbnail(1000, late, ''), false)
  await Promise.all(waiting)
})

test('what is refused, cut or without end leaves nothing', async (t) => {
  const { send, url, signIn, person, onDisk, db } = await startFiles(t, { env: { UPLOAD_MAX_BYTES: '100000' } })
  const alice = person()
  const refused = async (...files: [string, Uint8Array | string][]) =>
    (await send(uploadPath, formOf({}, ...files), { as: alice })).resultCode
  t.equal(await refused(['ok.txt', 'x'], ['long.bin', Buffer.alloc(100_001)]), errors.FileTooLarge.code)
  t.equal(await refused(), errors.FileMissing.code)
  t.equal((await send(uploadPath, formOf({}))).resultCode, errors.TokenMissing.code, 'who asks comes first')
  const inQuery = async (query: string) =>
    (await send(`${uploadPath}?${query}`, formOf({}, ['a.txt', 'x']), { as: alice })).resultCode
  t.equal(await inQuery(`userId=${person()}`), errors.PermissionDenied.code)
  t.equal(await inQuery('validTime=soon'), errors.InvalidParams.code)
  t.equal(
    await refused(...Array.from({ length: 21 }, (_, n): [string, string] => [`${n}.txt`, 'x'])),
    errors.InvalidParams.code,
  )
  const fields = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`f${n}`, 'x']))
  t.equal((await send(uploadPath, formOf(fields, ['a.txt', 'x']), { as: alice })).resultCode, errors.InvalidParams.code)
  t.equal((await send(uploadPath, 'no form', { as: alice })).resultCode, errors.UploadFailed.code)
  const type = { 'content-type': 'multipart/form-data; boundary=b' }
  const head = '--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\n'
  t.equal((await send(uploadPath, `${head}cut`, { as: alice, headers: type })).resultCode, errors.UploadFailed.code)
  t.equal(
    (await send(uploadPath, formOf({ validTime: 'soon' }, ['a.txt', 'x']), { as: alice })).resultCode,
    errors.InvalidParams.code,
  )

  const token = signIn(alice)
  const endless = request(`${url}${uploadPath}?access_token=${token}`, { method: 'POST', headers: type })
  const answered = once(endless, 'response')
  endless.write(head)
  const more = setInterval(() => endless.write(Buffer.alloc(20_000)), 5)
  endless.on('error', () => {})
  const [answer] = (await answered) as [AsyncIterable<Buffer>]
  let text = ''
  for await (const chunk of answer) text += chunk
  clearInterval(more)
  endless.destroy()
  t.equal(JSON.parse(text).resultCode, errors.FileTooLarge.code)

  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.write(
    `POST ${uploadPath}?access_token=${token} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type['content-type']}\r\nContent-Length: 90000\r\n\r\n${head}some`,
  )
  await eventually(async () => (await onDisk()).length > 0)
  socket.destroy()
  await eventually(async () => (await onDisk()).length === 0)
  t.equal(await db.collection('files').countDocuments(), 0)
})

test('a user has twenty uploads at once, wherever the token stands', async (t) => {
  const { url, signIn, person, onDisk } = await startFiles(t)
  const token = signIn(person())
  const type = { 'content-type': 'multipart/form-data; boundary=b' }
  const field = `--b\r\nContent-Disposition: form-data; name="access_token"\r\n\r\n${token}\r\n`
  const begin = '--b\r\nContent-Disposition: form-data; name="f"; filename="a.bin"\r\n\r\nsome'
  const refusals: string[] = []
  const uploads = Array.from({ length: 30 }, () => {
    const upload = request(`${url}${uploadPath}`, { method: 'POST', headers: type, agent: false })
    upload
      .on('error', () => {})
      .on('response', async (answer) => {
        let text = ''
        for await (const part of answer) text += part
        refusals.push(text)
      })
    upload.write(field + begin)
    return upload
  })
  await eventually(() => refusals.length === 10)
  t.ok(refusals.every((text) => JSON.parse(text).resultCode === errors.RateLimited.code))
  await eventually(async () => (await onDisk()).length === 20)
  for (const upload of uploads) upload.destroy()
  await eventually(async () => (await onDisk()).length === 0)
})

test('whoever fills what nobody answers for keeps others from nothing', async (t) => {
  const { url, signIn, person, send, onDisk, folder } = await startFiles(t)
  const token = signIn(person())
  const type = { 'content-type': 'multipart/form-data; boundary=b' }
  const long = Buffer.alloc(8 * 1024 * 1024 - 1000)
  const begin = '--b\r\nContent-Disposition: form-data; name="f"; filename="a.bin"\r\n\r\n'
  // Four are what an address may have.
  const ended: string[] = []
  const standing = Array.from({ length: 4 }, () => {
    const upload = request(`${url}${uploadPath}`, { method: 'POST', headers: type, agent: false })
    upload
      .on('error', ({ message }) => ended.push(message))
      .on('response', async (answer) => ended.push(await textOf(answer)))
    upload.write(begin)
    upload.write(long)
    return upload
  })
  const bytesOnDisk = async () => {
    const sizes = (await onDisk()).map(async (name) => (await stat(join(folder, name))).size)
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
  }
  // All but a few bytes that may begin a boundary: room that is left would be taken by the next one, and missed by one of these.
  await eventually(async () => (await bytesOnDisk()) > standing.length * (long.length - 100), 20_000)
  const late = (ip: string, bytes = 100_000) => {
    const form = formOf({}, ['a.bin', Buffer.alloc(bytes)])
    form.append('access_token', token)
    return send(uploadPath, form, { ip })
  }
  t.equal((await late('127.0.0.1', 8_000_000)).resultCode, errors.RateLimited.code)
  t.strictSame(ended, [])
  t.equal((await late('10.1.1.1')).resultCode, 1)
  t.equal((await late('10.1.1.1', 9_000_000)).resultCode, errors.FileTooLarge.code, 'never an end of the session')
  for (const upload of standing) upload.destroy()
  await eventually(async () => (await late('127.0.0.1')).resultCode === 1, 20_000)
})

test('a file goes with the last of two messages that showed it, whenever they are recalled', async (t) => {
  const { send, person, deps, db } = await startFiles(t)
  const owner = person()
  const { oUrl } = one((await send(uploadPath, formOf({}, ['a.txt', 'x']), { as: owner })).data.others)
  const name = /([0-9a-f]{32})\./.exec(oUrl)?.[1] ?? ''
  const { messages, fileRemovals } = deps
  const shownFiles = messages.shownFiles.bind(messages)
  let isShown = true
  messages.shownFiles = async (names) => {
    if (!isShown || !names.includes(name)) return await shownFiles(names)
    isShown = false
    // The other one is recalled a moment later.
    await fileRemovals.addFiles([{ name, owner }])
    return new Set(names)
  }
  await fileRemovals.addFiles([{ name, owner }])
  await eventually(async () => {
    await doRemovals(deps)
    return (await db.collection('files').countDocuments()) === 0
  })
  t.notOk(isShown)
})

test('apps send avatars without a token from where their user has just called', async (t) => {
  const { send, signIn, person, deps } = await startFiles(t, { env: { LIMIT_FACTOR: '1' } })
  const [alice, mallory] = [person(), person()]
  const session = createHash('sha256').update(signIn(alice)).digest('hex')
  await deps.redis.set(`seen:${alice}:10.0.0.1`, session)
  const avatar = async (userId: number, ip: string) =>
    (await send('/upload/UploadAvatarServlet', formOf({ userId: String(userId) }, ['a.jpg', image]), { ip })).resultCode
  const image = await photo(20, 20)
  t.equal(await avatar(alice, '10.0.0.1'), 1)
  t.equal(await avatar(alice, '10.0.0.2'), errors.TokenMissing.code, 'from elsewhere')
  t.equal(await avatar(mallory, '10.0.0.1'), errors.TokenMissing.code, 'of somebody else')
  for (let n = 1; n < 10; n++) await avatar(alice, '10.0.0.1')
  t.equal(await avatar(alice, '10.0.0.1'), errors.RateLimited.code, 'ten a day')
  const bob = person()
  await deps.redis.set(`seen:${bob}:10.0.0.1`, 'ended')
  t.equal(await avatar(bob, '10.0.0.1'), errors.TokenMissing.code, 'the session has ended')
})

test('files are copied, expire, and are removed by who uploaded them', async (t) => {
  let now = Date.now()
  const { send, read, api, person, deps, onDisk } = await startFiles(t, {
    overrides: { now: () => now },
    config: { fileValidTime: 7 },
  })
  const [alice, bob] = [person(), person()]
  const upload = async (validTime?: string) =>
    one(
      (
        await send(uploadPath, formOf(validTime === undefined ? {} : { validTime }, ['a.jpg', await photo(40, 40)]), {
          as: alice,
        })
      ).data.images,
    ).oUrl
  const status = async (url: string) => (await read(url)).status
  const [kept, short, usual, collected] = [await upload('-1'), await upload('0.04'), await upload(), await upload('1')]
  const { url: copy } = await api.call(storedFiles.copyFile, { paths: [short], validTime: 3 }, { as: bob })
  t.match(copy, new RegExp(`^${base}u/${bob % 10000}/${bob}/\\d{6}/o/[0-9a-f]{32}\\.jpg$`))
  t.strictSame(await bytesOf(await read(copy)), await bytesOf(await read(short)))
  const thumbnailOf = async (url: string) => bytesOf(await read(url.replace('/o/', '/t/')))
  t.strictSame(await thumbnailOf(copy), await thumbnailOf(short))
  t.notSame(await thumbnailOf(copy), await bytesOf(await read(copy)))
  await api.call(storedFiles.copyFile, { paths: [short.replace(base, 'http://im.test/')], validTime: 3 }, { as: bob })
  for (const path of [
    'http://elsewhere.test/u/1/1/202601/o/x.jpg',
    short.replace(base, 'http://elsewhere.test/'),
    `${base}avatar/o/1/1.jpg`,
    short.replace(/[0-9a-f]{32}/, '0'.repeat(32)),
  ])
    await t.rejects(api.call(storedFiles.copyFile, { paths: [path] }, { as: bob }), failure('FileNotFound'), path)
  await api.call(internalFiles.keepFiles, { urls: [collected] })
  const { url: brief } = await api.call(storedFiles.copyFile, { paths: [collected], validTime: 3 }, { as: bob })
  const day = 86_400_000
  now += 1.5 * day
  t.equal(await removeExpired(deps), 1, 'a day is the least')
  t.strictSame([await status(short), await status(copy)], [404, 200])
  now += 6 * day
  await removeExpired(deps)
  t.strictSame(await Promise.all([kept, usual, copy, collected, brief].map(status)), [200, 404, 404, 200, 404])
  await api.call(storedFiles.deleteFiles, { paths: [kept] }, { as: bob })
  t.equal(await status(kept), 200, 'of somebody else')
  await api.call(storedFiles.deleteFiles, { paths: [kept, collected] }, { as: alice })
  t.strictSame(await onDisk(), [])
})

test('what is collected at the moment at which it expires stays', async (t) => {
  let now = Date.now()
  const { send, read, api, person, deps } = await startFiles(t, { overrides: { now: () => now } })
  const as = person()
  const upload = async () => {
    const { data } = await send(uploadPath, formOf({ validTime: '1' }, ['a.jpg', await photo(40, 40)]), { as })
    return one(data.images).oUrl
  }
  const [collected, other] = [await upload(), await upload()]
  const { files } = deps
  const findExpired = files.expired.bind(files)
  files.expired = async (...asked) => {
    const rows = await findExpired(...asked)
    await api.call(internalFiles.keepFiles, { urls: [collected] })
    return rows
  }
  now += 2 * 86_400_000
  await removeExpired(deps)
  const status = async (url: string) => (await read(url)).status
  t.strictSame([await status(collected), await status(other)], [200, 404])
})

test('what a recalled message showed goes with it, unless something else shows it', async (t) => {
  const { send, read, log, remove, person, deps, api, user } = await startFiles(t)
  const [alice, bob] = [person(), person()]
  const upload = async () =>
    one((await send(uploadPath, formOf({}, ['a.jpg', await photo(40, 40)]), { as: alice })).data.images)
  const [shown, twice, collected, foreign] = [await upload(), await upload(), await upload(), await upload()]
  const [shared, forwarded, both] = [await upload(), await upload(), await upload()]
  user.sharedFiles.add(/[0-9a-f]{32}/.exec(shared.oUrl)![0])
  const say = async (from: number, to: number, { oUrl }: Uploaded) => {
    const entry = log.entry(from, to, { type: 2, content: oUrl })
    const name = /[0-9a-f]{32}/.exec(oUrl)![0]
    await log.archive([{ ...entry, store: { ...entry.store, file: name } }])
    return entry.store.messageId
  }
  const [a, b, c] = [await say(alice, bob, shown), await say(alice, bob, twice), await say(alice, bob, collected)]
  await say(alice, person(), twice)
  const d = await say(bob, alice, foreign)
  const e = await say(alice, bob, shared)
  const [f, g] = [await say(alice, bob, forwarded), await say(bob, person(), forwarded)]
  await api.call(internalFiles.keepFiles, { urls: [collected.oUrl] })
  await remove(alice, [a, b, c, e, f], 2)
  await remove(bob, [d], 2)
  const status = async ({ oUrl, tUrl }: Uploaded) => [(await read(oUrl)).status, (await read(tUrl)).status]
  await eventually(async () => (await status(shown))[0] === 404)
  t.strictSame(await status(shown), [404, 404])
  await doRemovals(deps)
  for (const file of [twice, collected, foreign, shared, forwarded]) t.strictSame(await status(file), [200, 200])
  await remove(bob, [g], 2)
  await eventually(async () => (await status(forwarded))[0] === 404)
  const name = /[0-9a-f]{32}/.exec(both.oUrl)![0]
  await deps.fileRemovals.addFiles([alice, bob].map((owner) => ({ name, owner })))
  await eventually(async () => (await status(both))[0] === 404)
})

test('what a merged history shows stays when the messages that it was made of are recalled', async (t) => {
  const { send, read, log, remove, person, deps } = await startFiles(t)
  const [alice, bob] = [person(), person()]
  const form = formOf({}, ['a.txt', 'a'], ['b.txt', 'b'], ['c.txt', 'c'])
  const urls = (await send(uploadPath, form, { as: alice })).data.others.map(({ oUrl }) => oUrl)
  const say = async (from: number, to: number, type: number, content: string) => {
    const entry = log.entry(from, to, { type, content })
    const files = shownFiles({ type, content }, false)
    await log.archive([{ ...entry, store: { ...entry.store, ...files } }])
    return entry.store.messageId
  }
  const originals = await Promise.all(urls.map((url) => say(alice, bob, 9, url)))
  const merged = JSON.stringify(urls.slice(1).map((content) => JSON.stringify({ type: 9, content })))
  await say(bob, person(), 85, merged)
  await remove(alice, originals, 2)
  const status = () => Promise.all(urls.map(async (url) => (await read(url)).status))
  await eventually(async () => (await status())[0] === 404)
  await doRemovals(deps)
  t.strictSame(await status(), [404, 200, 200])
})

test('what could not be stored whole is gone a day later, also when the store was away and when the process died', async (t) => {
  let now = Date.now()
  const { send, person, deps, db, onDisk } = await startFiles(t, { overrides: { now: () => now } })
  const [alice, bob] = [person(), person()]
  const upload = (as: number) => send(uploadPath, formOf({ validTime: '-1' }, ['a.txt', 'x'], ['b.txt', 'x']), { as })
  const rows = () => db.collection('files').find({}).toArray()
  const { fileStore } = deps
  const [put, remove] = [fileStore.put.bind(fileStore), fileStore.remove.bind(fileStore)]
  const away = async () => Promise.reject(new StoreAwayError('files', 'away'))
  fileStore.put = async (...file) => {
    await put(...file)
    // Its answer does not arrive, and nothing can be removed.
    if ((await onDisk()).filter((name) => name.startsWith('u/')).length === 2) await away()
  }
  fileStore.remove = away
  t.equal((await upload(alice)).resultCode, errors.ServiceUnavailable.code)
  t.equal((await rows()).length, 2)
  Object.assign(fileStore, { put, remove })
  now += 86_400_001
  t.equal(await removeExpired(deps), 2)
  t.strictSame([await onDisk(), await rows()], [[], []])

  t.equal((await upload(bob)).resultCode, 1)
  t.ok((await rows()).every(({ expireAt }) => expireAt === undefined))
  fileStore.put = async (...file) => {
    await deps.files.letGo((await rows()).filter(({ owner }) => owner === alice).map(({ _id }) => String(_id)))
    await put(...file)
  }
  t.equal((await upload(alice)).resultCode, errors.ServiceUnavailable.code, 'their account was deleted meanwhile')
  t.equal((await onDisk()).length, 2, 'of bob')
})

test('a folder for uploads that nobody can write is told at the start', async (t) => {
  const told: string[] = []
  const log = { error: (text: string) => told.push(text) } as unknown as Logger
  const file = join(t.testdir({ file: '' }), 'file')
  for (const folder of [join(file, 'staging'), join(t.testdirName, 'staging')]) {
    const staging = new Staging(folder, log).start()
    t.teardown(() => staging.close())
  }
  await eventually(() => told.length)
  t.match(told, [
    /^uploads fail: .*file\/staging can't be written \(.*ENOTDIR.*\); set FILE_DIRECTORY or UPLOAD_STAGING /,
  ])
  await eventually(() => readdir(join(t.testdirName, 'staging')))
  t.equal(told.length, 1)
  const store = join(t.testdirName, 'store')
  for (const target of [store, join(file, 'store')]) {
    const staging = new Staging(join(t.testdirName, 'staging'), log, target).start()
    t.teardown(() => staging.close())
  }
  await eventually(() => told.length === 2)
  t.match(told[1], /^uploads fail: .*ENOTDIR.*file\/store/)
  await eventually(async () => !(await readdir(store)).length)
})

test('what processes left in the staging folder that died is removed, and nothing else', async (t) => {
  const [old, fresh] = ['a', 'b'].map((letter) => `up-${letter.repeat(32)}`) as [string, string]
  const folder = t.testdir({ [old]: '', [fresh]: '', 'up-foreign': '' })
  const hours = (n: number) => new Date(Date.now() + n * 3_600_000)
  await utimes(join(folder, old), hours(-1.1), hours(-1.1))
  await utimes(join(folder, fresh), hours(-0.9), hours(-0.9))
  await utimes(join(folder, 'up-foreign'), hours(-9), hours(-9))
  await new Staging(folder, createLogger({ service: 'test', level: 'silent', format: 'json' })).sweep()
  t.strictSame((await readdir(folder)).sort(), ['up-foreign', fresh].sort())
})

test('addresses are those that apps make', (t) => {
  t.equal(
    roomAvatarKey('o', '7526ff27bce54d95bea9efd6be83862b'),
    'avatar/o/8846/18846/7526ff27bce54d95bea9efd6be83862b.jpg',
  )
  t.equal(
    roomAvatarKey('t', 'f5e194e3258f41e08fbc2b28863d715b'),
    'avatar/t/280/10280/f5e194e3258f41e08fbc2b28863d715b.jpg',
  )
  const name = `${'a'.repeat(32)}.jpg`
  t.equal(
    fileKeyOf({ folder: '1', userId: '10000001', month: '202611', kind: 'o', name }),
    `u/1/10000001/202611/o/${name}`,
  )
  t.equal(fileKeyOf({ folder: '2', userId: '10000001', month: '202611', kind: 'o', name }), undefined)
  t.equal(fileKeyOf({ folder: '1', userId: '10000001', month: '..', kind: 'o', name }), undefined)
  t.equal(avatarKeyOf({ kind: 'o', folder: '1', name: '10000001.jpg' }), 'avatar/o/1/10000001.jpg')
  t.equal(avatarKeyOf({ kind: 'o', folder: '2', name: '10000001.jpg' }), undefined)
  t.end()
})

test('everything about files is found by an index', async (t) => {
  const { send, api, person, deps } = await startFiles(t)
  const queries = watchQueries(deps)
  const alice = person()
  const { oUrl } = one((await send(uploadPath, formOf({}, ['a.jpg', await photo(40, 40)]), { as: alice })).data.images)
  await api.call(storedFiles.copyFile, { paths: [oUrl] }, { as: alice })
  await api.call(internalFiles.keepFiles, { urls: [oUrl] })
  await deps.fileRemovals.addUser(alice)
  await deps.fileRemovals.addFiles([{ name: /[0-9a-f]{32}/.exec(oUrl)![0], owner: alice }])
  await doRemovals(deps)
  await removeExpired(deps)
  await queries.demandIndexes(t)
})
