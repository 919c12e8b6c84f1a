/** A disk without room for uploads: the client may try again, nothing is left of what failed, and all goes on with room. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { errors } from '@im/contracts'
import { uploads } from '@im/contracts/message'
import { type Test, test } from 'tap'
import { formOf, startFiles } from './start-files.ts'

const size = 300_000

/** A folder in which a file of `size` does not fit until `free`. Without root it is the size of a file that is limited. */
async function fullFolder(t: Test): Promise<{ folder: string; free(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'im-full-'))
  if (process.getuid?.() !== 0) {
    const limit = (bytes: string) => execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:`])
    limit(String(size / 3))
    t.teardown(() => limit('unlimited'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    return { folder, free: async () => void limit('unlimited') }
  }
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder])
  t.teardown(() => execFileSync('umount', ['-l', folder]))
  const filler = join(folder, 'filler')
  await writeFile(filler, Buffer.alloc(800_000))
  return { folder, free: () => rm(filler) }
}

test('an upload that finds no room is refused for now, and leaves nothing', async (t) => {
  const disk = await fullFolder(t)
  const env = { FILE_DIRECTORY: join(disk.folder, 'files'), UPLOAD_STAGING: join(disk.folder, 'staging') }
  const { send, person, db } = await startFiles(t, { env })
  const alice = person()
  const upload = async () =>
    (await send(uploads.uploadFiles.path, formOf({}, ['a.bin', randomBytes(size)]), { as: alice })).resultCode
  t.equal(await upload(), errors.ServiceUnavailable.code)
  t.equal(await db.collection('files').countDocuments(), 0)
  await disk.free()
  t.equal(await upload(), 1)
  t.equal(await db.collection('files').countDocuments(), 1)
})
