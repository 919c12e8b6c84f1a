import { ContractError } from '@im/contracts'
import { readMultipart, readParams } from '@im/service-kit'
import { failure } from '@im/service-kit/testing'
import fc from 'fast-check'
import { test } from 'tap'

const type = 'multipart/form-data; boundary=b'
const field = (name: string, value: string) =>
  `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
const file = (name: string, content: string, filename = 'a.jpg') =>
  `--b\r\nContent-Disposition: form-data; name="${name}"; filename="${filename}"\r\nContent-Type: image/jpeg\r\n\r\n${content}\r\n`
const end = '--b--\r\n'

async function* chunks(text: string, size = 7) {
  for (let at = 0; at < text.length; at += size) yield Buffer.from(text.slice(at, at + size), 'latin1')
}

const limits = { fileBytes: 100_000, files: 3 }

/** The parts of a form; a file stands as its length. */
async function partsOf(body: AsyncIterable<Uint8Array>, read = true): Promise<unknown[]> {
  const parts: unknown[] = []
  for await (const part of readMultipart(body, type, limits)) {
    if ('value' in part) parts.push([part.name, part.value])
    else if (!read) parts.push([part.name])
    else {
      let bytes = 0
      for await (const chunk of part.content) bytes += chunk.length
      parts.push([part.name, part.filename, part.type, bytes])
    }
  }
  return parts
}

test('fields and files come in the order they are sent, whatever is read of them', async (t) => {
  const form =
    field('userId', '7') + file('file1', 'x'.repeat(50_000)) + field('access_token', 't') + file('f', '') + end
  t.strictSame(await partsOf(chunks(form, 1000)), [
    ['userId', '7'],
    ['file1', 'a.jpg', 'image/jpeg', 50_000],
    ['access_token', 't'],
    ['f', 'a.jpg', 'image/jpeg', 0],
  ])
  t.strictSame(await partsOf(chunks(form, 1000), false), [['userId', '7'], ['file1'], ['access_token', 't'], ['f']])
})

test('names of files are read in every encoding that apps send', async (t) => {
  const named = async (disposition: Buffer) => {
    const head = Buffer.concat([Buffer.from('--b\r\nContent-Disposition: form-data; name="f"; '), disposition])
    const form = Buffer.concat([head, Buffer.from('\r\n\r\nx\r\n--b--\r\n')])
    // Cut at every byte in turn would be slow; seven at a time cuts letters and the head.
    const [part] = await partsOf(chunks(form.toString('latin1')))
    return (part as unknown[])[1]
  }
  const text = (name: string) => Buffer.from(`filename="${name}"`)
  t.equal(await named(text('照片.jpg')), '照片.jpg', 'UTF-8 as it is')
  t.equal(await named(Buffer.from('filename="x.jpg"; filename*=UTF-8\'\'%E7%85%A7%E7%89%87.jpg')), '照片.jpg')
  // 照片 and 誠 (whose second byte is a backslash) in GBK.
  const gbk = Buffer.from([0xd5, 0xd5, 0xc6, 0xac, 0xd5, 0x5c])
  t.equal(await named(Buffer.concat([Buffer.from('filename="'), gbk, Buffer.from('.jpg"')])), '照片誠.jpg')
  t.equal(await named(text('C:\\fakepath\\a.jpg')), 'a.jpg')
  t.equal(await named(text('../../etc/passwd')), 'passwd')
})

test('a file is read while it arrives', async (t) => {
  let sent = 0
  async function* slowly() {
    yield Buffer.from(file('f', '').slice(0, -2), 'latin1')
    for (; sent < 5000; sent++) yield Buffer.alloc(1000)
    yield Buffer.from(`\r\n${end}`)
  }
  const parts = readMultipart(slowly(), type, { fileBytes: 1e9, files: 1 })
  const { value } = await parts.next()
  t.match(value, { name: 'f' })
  t.ok(sent < 1000, `${sent} of 5000 were taken before anybody read`)
  await parts.return(undefined)
})

test('a file without end is refused at the limit', async (t) => {
  async function* endless() {
    yield Buffer.from(file('f', '').slice(0, -2), 'latin1')
    for (;;) yield Buffer.alloc(1000)
  }
  await t.rejects(partsOf(endless()), failure('FileTooLarge'))
  await t.rejects(partsOf(endless(), false), failure('FileTooLarge'))
})

test('what is too large, too many or no form is refused by name', async (t) => {
  const refused = (body: string) => partsOf(chunks(body, 5000))
  await t.rejects(refused(file('f', 'x'.repeat(100_001)) + end), failure('FileTooLarge'))
  await t.rejects(refused(field('a', 'x'.repeat(70_000)) + end), failure('RequestTooLarge'))
  await t.rejects(refused(file('f', 'x').repeat(4) + end), failure('InvalidParams'))
  await t.rejects(refused(field('f', 'x').repeat(200) + end), failure('InvalidParams'))
  await t.rejects(refused(field('a', '1') + file('f', 'xx').slice(0, -3)), failure('UploadFailed'))
  for (const bad of ['text/plain', undefined, 'multipart/form-data', `multipart/form-data; boundary=${'b'.repeat(71)}`])
    await t.rejects(readMultipart(chunks(''), bad, limits).next(), failure('UploadFailed'))
})

test('a client that leaves in the middle of a file ends the reading', { timeout: 10_000 }, async (t) => {
  async function* leaving() {
    yield Buffer.from(file('f', 'x'.repeat(1000)).slice(0, -2), 'latin1')
    throw new Error('aborted')
  }
  await t.rejects(partsOf(leaving()), failure('UploadFailed'))
  await t.rejects(partsOf(leaving(), false), failure('UploadFailed'))
})

test('whatever comes as a form, and wherever it is cut, is read or refused', async (t) => {
  const piece = fc.oneof(
    fc.tuple(fc.string(), fc.string()).map(([name, value]) => field(name, value)),
    fc.tuple(fc.string(), fc.string()).map(([name, value]) => file(name, value)),
    fc.constantFrom('--b\r\n', '\r\n', '--b--', 'Content-Disposition: form-data', '; name="', 'charset=x', ': '),
    fc.string({ unit: 'binary' }),
  )
  const form = fc.tuple(fc.array(piece), fc.nat(2000)).map(([pieces, cut]) => `${pieces.join('')}${end}`.slice(0, cut))
  const isContractError = (error: unknown) => {
    if (error instanceof ContractError) return true
    throw error
  }
  await t.resolves(
    fc.assert(
      fc.asyncProperty(form, async (body) => {
        await readParams('', type, Buffer.from(body, 'latin1')).catch(isContractError)
        await partsOf(chunks(body, 64)).catch(isContractError)
        await partsOf(chunks(body, 64), false).catch(isContractError)
      }),
      { numRuns: 500 },
    ),
  )
})
