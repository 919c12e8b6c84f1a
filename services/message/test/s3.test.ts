import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { errors } from '@im/contracts'
import { storedFiles } from '@im/contracts/message'
import { startServers } from '@im/dev/servers'
import { eventually, freePort } from '@im/service-kit/testing'
import { type Test, test } from 'tap'
import { S3Store } from '../src/files/s3-store.ts'
import { base, formOf, photo, startFiles, type Uploaded, uploadPath } from './start-files.ts'

/** A real S3-compatible server with a bucket. */
async function startBucket(t: Test) {
  const dataDir = await mkdtemp(join(tmpdir(), 'im-s3-'))
  const servers = await startServers({ dataDir, ports: 'free', env: process.env, servers: ['s3'], supervise: false })
  const {
    S3_ENDPOINT: endpoint = '',
    S3_ACCESS_KEY_ID: accessKeyId = '',
    S3_SECRET_ACCESS_KEY: secretAccessKey = '',
  } = servers.env
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  })
  t.after(async () => {
    client.destroy()
    await servers.close()
    await rm(dataDir, { recursive: true, force: true })
  })
  await client.send(new CreateBucketCommand({ Bucket: 'files' }))
  return {
    servers,
    env: { ...servers.env, FILE_STORE: 's3', S3_BUCKET: 'files' } as Record<string, string>,
    async keys() {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: 'files' }))
      return Contents.map(({ Key = '' }) => Key)
    },
  }
}

test('files lie in a bucket', async (t) => {
  const { env, keys, servers } = await startBucket(t)
  const staging = await mkdtemp(join(tmpdir(), 'im-staging-'))
  t.after(() => rm(staging, { recursive: true, force: true }))
  const { send, read, api, person } = await startFiles(t, { env: { ...env, UPLOAD_STAGING: staging } })
  const alice = person()
  const content = randomBytes(6_000_000)
  const { data } = await send(uploadPath, formOf({}, ['a.jpg', await photo(600, 400)], ['b.bin', content]), {
    as: alice,
  })
  const [image, other] = [data.images[0], data.others[0]] as [Uploaded, Uploaded]
  t.strictSame((await keys()).sort(), [image.oUrl, image.tUrl, other.oUrl].map((url) => url.slice(base.length)).sort())
  t.strictSame(await readdir(staging), [])
  t.strictSame(Buffer.from(await (await read(other.oUrl)).arrayBuffer()), content)
  const part = await read(other.oUrl, { headers: { range: 'bytes=5999990-' } })
  t.equal(part.status, 206)
  t.strictSame(Buffer.from(await part.arrayBuffer()), content.subarray(5_999_990))
  const etag = part.headers.get('etag') ?? ''
  t.equal((await read(other.oUrl, { headers: { 'if-none-match': etag } })).status, 304)
  t.equal((await read(other.oUrl, { method: 'HEAD' })).headers.get('content-length'), '6000000')
  t.equal((await read(other.oUrl.replace(/[0-9a-f]{32}/, '0'.repeat(32)))).status, 404)

  const avatar = () => send('/upload/UploadAvatarServlet', formOf({}, ['a.jpg', image1]), { as: alice })
  let image1 = await photo(50, 50)
  const { oUrl } = (await avatar()).data
  const first = (await read(oUrl)).headers.get('etag')
  image1 = await photo(60, 60)
  await avatar()
  t.not((await read(oUrl)).headers.get('etag'), first)

  const { url } = await api.call(storedFiles.copyFile, { paths: [image.oUrl] }, { as: person() })
  t.equal((await read(url)).status, 200)
  t.equal((await read(url.replace('/o/', '/t/'))).headers.get('content-type'), 'image/jpeg')
  await api.call(storedFiles.deleteFiles, { paths: [image.oUrl, other.oUrl] }, { as: alice })
  await eventually(async () => (await keys()).length === 4)
  t.equal((await read(image.tUrl)).status, 404)

  const { S3_ENDPOINT: endpoint, S3_ACCESS_KEY_ID: accessKeyId, S3_SECRET_ACCESS_KEY: secretAccessKey } = env
  const absent = new S3Store({
    ...{ bucket: 'absent', region: 'us-east-1', pathStyle: true, endpoint },
    credentials: { accessKeyId: accessKeyId ?? '', secretAccessKey: secretAccessKey ?? '' },
  })
  t.after(() => absent.close())
  const file = join(staging, 'file')
  await writeFile(file, 'x')
  const about = { bytes: 1, type: 'text/plain' }
  const isAway = { name: 'StoreAwayError' }
  await t.rejects(absent.put('k', file, about), isAway, 'a bucket that was removed, or is called otherwise')
  await t.rejects(absent.copy('k', 'l'), isAway)
  await t.rejects(absent.remove(['k']), isAway)
  await rm(file)

  await servers.kill('s3')
  t.equal((await read(oUrl)).status, 503)
  const refused = await send(uploadPath, formOf({}, ['a.bin', 'x']), { as: alice })
  t.equal(refused.resultCode, errors.ServiceUnavailable.code)
  t.strictSame(await readdir(staging), [])
})

test('a bucket that is away, frozen or read slowly holds nothing for ever', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'im-staged-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'staged')
  await writeFile(file, 'x')
  const settings = {
    bucket: 'files',
    region: 'us-east-1',
    pathStyle: true,
    credentials: { accessKeyId: 'a', secretAccessKey: 's' },
  }
  const away = new S3Store({ ...settings, endpoint: `http://127.0.0.1:${await freePort()}` })
  await t.rejects(away.put('k', file, { bytes: 1, type: 'text/plain' }), { name: 'StoreAwayError' })
  await eventually(async () => {
    const open = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''))
    return !(await Promise.all(open)).includes(file)
  })

  const answers = new Set<string>()
  let withTag = true
  const server = createServer((request, response) => {
    if (!answers.has(request.method ?? '')) return
    response.writeHead(200, { 'content-length': '2', ...(withTag ? { etag: '"e"' } : {}) })
    // The rest of a file never comes, as if its app read no further.
    if (request.method === 'GET') response.write('x')
    else response.end(request.method === 'PUT' ? '{}' : undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const endpoint = `http://127.0.0.1:${port}`
  const [frozen, store] = [
    new S3Store({ ...settings, endpoint, longestPause: 200 }),
    new S3Store({ ...settings, endpoint }),
  ]
  t.after(async () => {
    server.closeAllConnections()
    server.close()
    await Promise.all([away, frozen, store].map((each) => each.close()))
  })
  await t.rejects(frozen.open('k'), { name: 'StoreAwayError' })
  answers.add('PUT')
  withTag = false
  await t.rejects(frozen.put('k', file, { bytes: 1, type: 'text/plain' }), { name: 'StoreAwayError' }, 'a page')
  withTag = true
  answers.add('HEAD').add('GET')
  const slow = async () => (await store.open('k'))!.read({ start: 0, end: 1 })
  const reads = await Promise.all(Array.from({ length: 60 }, slow))
  t.ok(await store.open('k'), 'others are served meanwhile')
  for (const read of reads) read.destroy()
})

test('a store without what it needs does not start', async (t) => {
  await t.rejects(startFiles(t, { env: { FILE_STORE: 's3' } }), /S3_BUCKET must be set/)
  await t.rejects(startFiles(t, { env: { S3_ACCESS_KEY_ID: 'x' } }), /belong together/)
})
