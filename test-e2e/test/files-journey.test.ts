import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { crc32, deflateSync } from 'node:zlib'
import { archive, storedFiles } from '@im/contracts/message'
import { rooms } from '@im/contracts/room'
import { clientConfig, collections, profiles } from '@im/contracts/user'
import { eventually } from '@im/service-kit/testing'
import { test } from 'tap'
import { startJourney } from '../src/journey.ts'
import type { Person } from '../src/people.ts'

interface Uploaded {
  oUrl: string
  tUrl: string
  oFileName: string
}

interface Answer {
  resultCode: number
  data: { images: Uploaded[]; others: Uploaded[]; oUrl: string; tUrl: string }
  success: number
}

/** A grey PNG of 8 × 8 pixels. */
function makePicture(): Buffer {
  const chunk = (type: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(type), data])
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    sum.writeUInt32BE(crc32(body))
    return Buffer.concat([length, body, sum])
  }
  const head = Buffer.from([0, 0, 0, 8, 0, 0, 0, 8, 8, 0, 0, 0, 0])
  // Each line begins with its filter: none.
  const lines = Buffer.alloc(8 * 9, Buffer.from([0, ...Array<number>(8).fill(128)]))
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')
  return Buffer.concat([
    signature,
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(lines)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

const picture = makePicture()

test('files', async (t) => {
  const { stack, people } = await startJourney(t)

  /** As the apps do: fields and files in one form. */
  async function upload(
    path: string,
    fields: Record<string, string>,
    files: [string, Uint8Array | string][],
  ): Promise<Answer> {
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.append(name, value)
    for (const [n, [name, content]] of files.entries()) form.append(`file${n + 1}`, new Blob([content as string]), name)
    return (await (await fetch(stack.gatewayUrl + path, { method: 'POST', body: form })).json()) as Answer
  }
  const send = (person: Person, ...files: [string, Uint8Array | string][]) =>
    upload(
      '/upload/UploadServlet',
      { access_token: person.token, userId: String(person.userId), validTime: '-1' },
      files,
    )
  const status = async (url: string) => {
    const answer = await fetch(url)
    await answer.arrayBuffer()
    return answer.status
  }

  t.test('a picture is uploaded, sent, seen, and gone when it is recalled', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    const [phoneA, phoneB] = [await alice.phone(), await bob.phone()]
    t.teardown(() => Promise.all([phoneA.hangUp(), phoneB.hangUp()]))
    const { uploadUrl, downloadUrl, downloadAvatarUrl } = await people.api.call(clientConfig.getConfig)
    for (const url of [uploadUrl, downloadUrl, downloadAvatarUrl]) t.equal(url, `${stack.gatewayUrl}/`)

    const { data } = await send(alice, ['假日.png', picture])
    const [{ oUrl, tUrl, oFileName } = { oUrl: '', tUrl: '', oFileName: '' }] = data.images
    t.equal(oFileName, '假日.png')
    const sent = await phoneA.say(bob.userId, oUrl, { type: 2, fileName: oFileName })
    const received = await phoneB.hears(({ id }) => id === sent.messageId)
    const seen = await fetch(received.content)
    t.strictSame(Buffer.from(await seen.arrayBuffer()), picture)
    t.match(Object.fromEntries(seen.headers), {
      'content-type': 'image/png',
      'accept-ranges': 'bytes',
      'cache-control': 'public, max-age=31536000, immutable',
      'access-control-allow-origin': '*',
    })
    t.equal((await fetch(tUrl)).headers.get('content-type'), 'image/jpeg')
    const etag = seen.headers.get('etag') ?? ''
    t.equal((await fetch(oUrl, { headers: { 'if-none-match': etag } })).status, 304)
    const part = await fetch(oUrl, { headers: { range: 'bytes=1-3' } })
    t.strictSame([part.status, await part.text()], [206, 'PNG'])
    const head = await fetch(oUrl, { method: 'HEAD' })
    t.strictSame(
      [head.status, head.headers.get('content-length'), await head.text()],
      [200, String(picture.length), ''],
    )

    const { url: copy } = await bob.call(storedFiles.copyFile, { paths: [oUrl] as never })
    const collected = await send(alice, ['kept.png', picture])
    const [kept = { oUrl: '' }] = collected.data.images
    const second = await phoneA.say(bob.userId, kept.oUrl, { type: 2 })
    await phoneB.hears(({ id }) => id === second.messageId)
    await bob.call(collections.addCollected, { msgId: [second.messageId] as never, type: [1] as never })

    await alice.call(archive.deleteMessages, { messageId: `${sent.messageId},${second.messageId}` as never, delete: 2 })
    await eventually(async () => (await status(oUrl)) === 404)
    t.strictSame(
      await Promise.all([tUrl, copy, kept.oUrl].map(status)),
      [404, 200, 200],
      'copies and what was collected stay',
    )
  })

  t.test('a phone sends an avatar without a token, and everybody sees it', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    const desktop = await alice.phone('pc')
    t.teardown(() => desktop.hangUp())
    const { headImg, headThumImg } = (await bob.call(profiles.getUser, { userId: alice.userId })) as unknown as Record<
      string,
      string
    >
    t.equal(await status(headImg ?? ''), 404)
    await alice.call(profiles.getUser, {})
    const form = { userId: String(alice.userId) }
    const { data, resultCode } = await upload('/upload/UploadAvatarServlet', form, [['file.jpg', picture]])
    t.equal(resultCode, 1)
    t.strictSame(data, { oUrl: headImg, tUrl: headThumImg })
    const avatar = await fetch(data.oUrl)
    t.strictSame(
      [avatar.status, avatar.headers.get('content-type'), avatar.headers.get('cache-control')],
      [200, 'image/jpeg', 'no-cache'],
    )
    t.equal(await status(data.tUrl), 200)
    await desktop.hears(({ type }) => type === 801)
    const nobody = await upload('/upload/UploadAvatarServlet', { userId: '10000' }, [['file.jpg', picture]])
    t.equal(nobody.resultCode, 1030101)
  })

  t.test('the avatar of a room is its owner’s', async (t) => {
    const [alice, bob] = [await people.register('alice'), await people.register('bob')]
    const jid = randomBytes(16).toString('hex')
    const phone = await alice.phone()
    t.teardown(() => phone.hangUp())
    await phone.join(jid)
    await alice.call(rooms.addRoom, { jid, name: 'room', text: `[${bob.userId}]` } as never)
    const replace = (person: Person) =>
      upload('/upload/GroupAvatarServlet', { access_token: person.token, jid }, [['a.png', picture]])
    t.equal((await replace(bob)).resultCode, 1030201)
    const { data } = await replace(alice)
    t.equal(await status(data.oUrl), 200)
  })

  t.test('refused uploads tell why, however long they are, and leave nothing', async (t) => {
    const alice = await people.register('alice')
    const long = randomBytes(12_000_000)
    const form = (token: string) => ({ access_token: token, userId: String(alice.userId) })
    t.equal((await upload('/upload/UploadServlet', form('0'.repeat(32)), [['a.bin', long]])).resultCode, 1030102)
    const inQuery = await upload(`/upload/UploadServlet?access_token=${'0'.repeat(32)}`, {}, [['a.bin', long]])
    t.equal(inQuery.resultCode, 1030102)
    t.equal((await upload('/upload/UploadAvatarServlet', form(alice.token), [['a.png', long]])).resultCode, 1500102)
    t.equal((await upload('/upload/UploadServlet', form(alice.token), [])).resultCode, 1500101)
    t.match(await send(alice, ['a.bin', long]), { resultCode: 1, success: 1 })
    const cut = request(`${stack.gatewayUrl}/upload/UploadServlet?access_token=${alice.token}`, {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=b', 'content-length': '5000000' },
    })
    cut.on('error', () => {})
    cut.write(`--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n${'x'.repeat(1_000_000)}`)
    await eventually(async () => (await stack.stagedFiles()).length > 0)
    cut.destroy()
    await eventually(async () => (await stack.stagedFiles()).length === 0)
  })

  t.test('no address leads to another one', async (t) => {
    const ask = (path: string) =>
      new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
        const asked = request(stack.gatewayUrl, { path }, async (answer) => {
          let text = ''
          for await (const chunk of answer) text += chunk
          resolve({ status: answer.statusCode, text })
        })
        asked.on('error', reject).end()
      })
    for (const path of [
      '/u/../../internal/files/keep',
      '/u/%2e%2e/%2e%2e/internal/files/keep',
      '/u/..%2f..%2finternal/x/y/z/files',
      '/avatar/../internal/files',
      '/avatar/o/..%5c..%5csecrets.json/x.jpg',
      '/u/1/10000001/202611/o/..%2f..%2f..%2fsecrets.json',
    ]) {
      const { status, text } = await ask(path)
      t.equal(status, 404, `${path} ${text}`)
    }
  })
})
