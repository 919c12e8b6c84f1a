import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { test } from 'tap'
import { DirectoryStore } from '../src/files/directory-store.ts'
import { Staging } from '../src/files/staging.ts'

test('replicas that share a directory replace a file as a whole, and leave nothing else there', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'im-files-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const staging = join(folder, 'staging')
  let copies = 0
  const withFiles: Staging['withFiles'] = (work) => {
    copies++
    return new Staging(staging, undefined as never).withFiles(work)
  }
  const replicas = [new DirectoryStore(folder, { withFiles }), new DirectoryStore(folder, { withFiles })]
  const key = 'avatar/o/1/10000001.jpg'
  let writing = 0
  const write = async (store: DirectoryStore, letter: string) => {
    for (let n = 0; n < 20; n++) {
      const staged = join(folder, `up-${letter}${n}`)
      await writeFile(staged, letter.repeat(300_000))
      await store.put(key, staged)
      if (n % 5 === 0) await store.copy(key, `u/1/10000001/202611/o/${letter}${n}.jpg`)
    }
  }
  const work = replicas.map((store, n) => {
    writing++
    return write(store, n ? 'b' : 'a').finally(() => writing--)
  })
  const kinds = new Set<string>()
  while (writing) {
    const file = await replicas[kinds.size % 2]!.open(key)
    if (!file) continue
    const content = await buffer(await file.read({ start: 0, end: file.bytes - 1 }))
    t.equal(content.length, 300_000)
    kinds.add(String(new Set(content).size))
  }
  await Promise.all(work)
  t.strictSame([...kinds], ['1'], 'never a mixture')
  t.strictSame((await readdir(folder)).sort(), ['avatar', 'staging', 'u'])
  t.strictSame(await readdir(staging), [])
  t.equal(copies, 8, 'what a killed process leaves of a copy is where it is swept')
  const tagAfter = async (letter: string) => {
    const staged = join(folder, `up-${letter}`)
    await writeFile(staged, letter)
    await replicas[0]!.put(key, staged)
    const file = await replicas[0]!.open(key)
    await file?.close()
    return file?.etag
  }
  t.not(await tagAfter('a'), await tagAfter('b'), 'one of the same length is another one')
  await replicas[0]!.remove([key])
  t.equal(await replicas[1]!.open(key), undefined)
})
