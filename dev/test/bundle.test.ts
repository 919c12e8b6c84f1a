import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { execa } from 'execa'
import { test } from 'tap'
import { bundle } from '../src/bundles/bundle.ts'
import { inSources } from '../src/bundles/in-sources.ts'

const shared = (word: string) => `export const state: { count: number; word: string } = { count: 0, word: '${word}' }\n`
// Not in one word: this file is bundled, too.
const first = `
import { join } from 'node:path'
import { state } from './shared.ts'

interface Seen { place: string; url: string; argument?: string; line?: string }
state.count++
await import(join(HERE.dirname, 'second.ts'))
const stack = new Error('where').stack ?? ''
const seen: Seen = { place: HERE.dirname, url: HERE.url, argument: process.argv[1], line: stack.split('\\n')[1] }
console.log(JSON.stringify({ ...seen, ...state, bundles: Boolean(process.env['IM_BUNDLES']) }))
`.replaceAll('HERE', ['import', 'meta'].join('.'))
const second = `import { state } from './shared.ts'\nstate.count++\n`

/** What a file says of itself when a process runs it. */
async function run(root: string, files: string[]) {
  const env = await bundle(files, root, join(root, 'bundles'))
  const { stdout } = await execa(process.execPath, [join(root, 'first.ts')], { env })
  return JSON.parse(stdout) as Record<string, unknown>
}

test('a bundled file is where its source is, shares what it imports, and is never stale', async (t) => {
  const root = t.testdir({ 'first.ts': first, 'second.ts': second, 'shared.ts': shared('old') })
  const file = join(root, 'first.ts')
  const seen = await run(root, ['first.ts', 'second.ts'])
  t.match(seen, { place: root, url: pathToFileURL(file).href, argument: file, count: 2, word: 'old', bundles: true })
  t.match(seen['line'], /\/bundles\/first\.mjs:/)
  t.match(inSources(String(seen['line']), root, join(root, 'bundles')), /at first\.ts:8:/)
  writeFileSync(join(root, 'shared.ts'), shared('new'))
  t.match(await run(root, ['first.ts', 'second.ts']), { count: 2, word: 'new' })
})

test('a bundled file runs on a bundled tap, which shows lines of the file and none of its own', async (t) => {
  const text = `import { test } from 'tap'\n\ntest('fails', async (t) => {\n  t.equal(1, 2)\n})\n`
  const root = t.testdir({ 'first.ts': text })
  const folder = join(root, 'bundles')
  const env = await bundle(['first.ts'], root, folder)
  t.match(readFileSync(join(folder, 'first.mjs'), 'utf8'), /from "[^"]*\/bundles\/node_modules\/@tapjs\/tap\.mjs"/)
  const { stdout, exitCode } = await execa(process.execPath, [join(root, 'first.ts')], {
    env,
    reject: false,
  })
  t.equal(exitCode, 1)
  t.match(inSources(stdout, root, folder), /Test\.<anonymous> \(first\.ts:4:5\)/)
  t.notMatch(stdout, /tap\.mjs:\d/)
})
