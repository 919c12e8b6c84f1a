import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { errors } from '@im/contracts'
import { storedFiles, uploadLimits } from '@im/contracts/message'
import { eventually, failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { removeExpired } from '../src/files/do-removals.ts'
import { UploadsUnderWay } from '../src/files/uploads-under-way.ts'
import { formOf, photo, startFiles, uploadPath } from './start-files.ts'

const avatarPath = '/upload/UploadAvatarServlet'
const day = 86_400

test('what a user uploads in a day is bounded, wherever the token stands and by copies too', async (t) => {
  const { send, signIn, person, api, deps, onDisk } = await startFiles(t, { env: { LIMIT_FACTOR: '1' } })
  const { daily } = uploadLimits
  const [alice, bob] = [person(), person()]
  const { oUrl } = (await send(uploadPath, formOf({}, ['a.txt', 'x'.repeat(100)]), { as: alice })).data.others[0]!
  const before = await onDisk()
  const bytes = { key: `upload-bytes:${alice}`, max: daily.bytes, seconds: day }
  t.equal(await deps.rateCounters.takeBlock(bytes, daily.bytes - 150), daily.bytes - 150)
  const code = async (answer: ReturnType<typeof send>) => (await answer).resultCode
  t.equal(await code(send(uploadPath, formOf({}, ['b.txt', 'x'.repeat(100)]), { as: alice })), errors.RateLimited.code)
  const late = formOf({}, ['c.txt', 'x'.repeat(100)])
  late.append('access_token', signIn(alice))
  t.equal(await code(send(uploadPath, late)), errors.RateLimited.code, 'the token after the file')
  await t.rejects(api.call(storedFiles.copyFile, { paths: [oUrl] }, { as: alice }), failure('RateLimited'))
  t.strictSame(await onDisk(), before, 'nothing of it is left')
  t.equal(await code(send(uploadPath, formOf({}, ['f.txt', 'x'.repeat(50)]), { as: alice })), 1, 'what is left is left')
  t.equal(await deps.redis.get(`limit:upload-files:${alice}`), '2', 'what was refused is no file of the day')

  await send(avatarPath, formOf({}, ['a.jpg', await photo(20, 20)]), { as: bob })
  t.equal(await deps.redis.get(`limit:upload-files:${bob}`), '1', 'avatars count')
  await deps.redis.del(`limit:upload-files:${bob}`)
  const files = { key: `upload-files:${bob}`, max: daily.files, seconds: day }
  await deps.rateCounters.takeBlock(files, daily.files - 1)
  t.equal(await code(send(uploadPath, formOf({}, ['d.txt', 'x']), { as: bob })), 1)
  t.equal(await code(send(uploadPath, formOf({}, ['e.txt', 'x']), { as: bob })), errors.RateLimited.code)
})

test('a day of uploads outlives the process, gives nothing back for what is removed, and ends', async (t) => {
  const env = { LIMIT_FACTOR: '1', NAMESPACE: `t${randomBytes(5).toString('hex')}` }
  const first = await startFiles(t, { env })
  const { person, api, deps, folder } = first
  const alice = person()
  const { daily } = uploadLimits
  const file = (letter: string) => formOf({}, [`${letter}.txt`, letter.repeat(100)])
  const { oUrl } = (await first.send(uploadPath, file('a'), { as: alice })).data.others[0]!
  await api.call(storedFiles.deleteFiles, { paths: [oUrl] }, { as: alice })
  t.strictSame(await first.onDisk(), [])
  const counters = ['bytes', 'files'].map((kind) => `limit:upload-${kind}:${alice}`)
  t.strictSame(await Promise.all(counters.map((key) => deps.redis.get(key))), ['100', '1'], 'what is sent is counted')
  const left = daily.bytes - 150
  t.equal(
    await deps.rateCounters.takeBlock({ key: `upload-bytes:${alice}`, max: daily.bytes, seconds: day }, left),
    left,
  )

  const second = await startFiles(t, { env: { ...env, FILE_DIRECTORY: folder } })
  const again = await second.send(uploadPath, file('b'), { as: alice })
  t.equal(again.resultCode, errors.RateLimited.code, 'another process knows it')
  const ends = await Promise.all(counters.map((key) => deps.redis.pttl(key)))
  t.ok(
    ends.every((ms) => ms > (day - 600) * 1000 && ms <= day * 1000),
    `a day after the first: ${ends}`,
  )
  await Promise.all(counters.map((key) => deps.redis.pexpire(key, 1)))
  await eventually(async () => (await second.send(uploadPath, file('c'), { as: alice })).resultCode === 1)
  t.equal(await deps.redis.get(counters[0]!), '100')
})

test('uploads of one user at once are bounded', async (t) => {
  const { send, url, signIn, person, onDisk } = await startFiles(t)
  const [alice, bob] = [person(), person()]
  const path = `${uploadPath}?access_token=${signIn(alice)}`
  const headers = { 'content-type': 'multipart/form-data; boundary=b' }
  const begin = '--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nbegin'
  const begun = Array.from({ length: 20 }, () => {
    const upload = request(url + path, { method: 'POST', headers, agent: false })
    upload.on('error', () => {})
    upload.write(begin)
    return upload
  })
  t.after(() => {
    for (const upload of begun) upload.destroy()
  })
  await eventually(async () => (await onDisk()).length === 20)
  t.equal((await send(path, formOf({}, ['b.txt', 'x']))).resultCode, errors.RateLimited.code)
  t.equal((await send(uploadPath, formOf({}, ['b.txt', 'x']), { as: bob })).resultCode, 1, 'others go on')
  for (const upload of begun) upload.destroy()
  await eventually(async () => (await send(path, formOf({}, ['b.txt', 'x']))).resultCode === 1)
})

test('an upload that ends makes room for one', (t) => {
  const uploads = new UploadsUnderWay()
  const leave = Array.from({ length: 20 }, () => uploads.enter(1))
  for (const end of leave.slice(1)) end()
  for (let n = 0; n < 19; n++) uploads.enter(1)
  t.throws(() => uploads.enter(1), failure('RateLimited'))
  t.end()
})

test('nobody uploads in the name of another, or with a session of our pages', async (t) => {
  const { send, signIn, person, api, deps, user } = await startFiles(t)
  const [alice, mallory] = [person(), person()]
  const image = await photo(20, 20)
  const avatarOf = (userId: number) => formOf({ userId: String(userId) }, ['a.jpg', image])
  t.equal((await send(avatarPath, avatarOf(alice), { as: mallory })).resultCode, errors.PermissionDenied.code)
  const session = createHash('sha256').update(signIn(mallory)).digest('hex')
  await deps.redis.set(`seen:${alice}:10.0.0.9`, session)
  const unknown = await send(avatarPath, avatarOf(alice), { ip: '10.0.0.9' })
  t.equal(unknown.resultCode, errors.TokenMissing.code, 'the session is that of another')

  const { oUrl } = (await send(uploadPath, formOf({}, ['a.txt', 'x']), { as: alice })).data.others[0]!
  const moved = oUrl.replace(`u/${alice % 10_000}/${alice}/`, `u/${mallory % 10_000}/${mallory}/`)
  t.not(moved, oUrl)
  await t.rejects(api.call(storedFiles.copyFile, { paths: [moved] }, { as: mallory }), failure('FileNotFound'))

  const token = signIn(alice)
  user.sessionKind = 'mp'
  t.equal(
    (await send(uploadPath, formOf({ access_token: token }, ['a.txt', 'x']))).resultCode,
    errors.PermissionDenied.code,
  )
})

test('a file lives a day at least', async (t) => {
  let now = Date.now()
  const { send, read, person, deps } = await startFiles(t, { overrides: { now: () => now } })
  const form = formOf({ validTime: '0.04' }, ['a.txt', 'x'])
  const { oUrl } = (await send(uploadPath, form, { as: person() })).data.others[0]!
  now += 0.9 * day * 1000
  t.equal(await removeExpired(deps), 0)
  t.equal((await read(oUrl)).status, 200)
  now += 0.2 * day * 1000
  t.equal(await removeExpired(deps), 1)
})

test('a copy of a file that is about to be removed is a file like others', async (t) => {
  const { send, read, person, api, deps } = await startFiles(t)
  const as = person()
  const { oUrl } = (await send(uploadPath, formOf({}, ['a.txt', 'x']), { as })).data.others[0]!
  const nameOf = (url: string) => /[0-9a-f]{32}/.exec(url)![0]
  t.equal((await deps.files.letGo([nameOf(oUrl)])).length, 1)
  await deps.files.keep([nameOf(oUrl)])
  t.notOk((await deps.files.byNames([nameOf(oUrl)]))[0]?.kept, 'it is too late to keep it')
  const { url } = await api.call(storedFiles.copyFile, { paths: [oUrl] }, { as })
  await deps.files.keep([nameOf(url)])
  t.strictSame(await deps.files.letGo([nameOf(url)]), [], 'it can be kept')
  t.equal((await read(url)).status, 200)
})
