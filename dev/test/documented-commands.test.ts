import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { repositoryRoot } from '../src/machine/machine.ts'

const documents = globSync(['*.md', 'docs/**/*.md', '{bench,dev}/README.md', 'deploy/**/*.md', 'services/*/*.md'], {
  cwd: repositoryRoot,
  exclude: (name) => name === 'node_modules',
})
const { scripts } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>
}
const textOf = (document: string) => readFileSync(join(repositoryRoot, document), 'utf8')
/** npm's own names of scripts need no `run`. */
const shortNames = new Set(['start', 'test'])

test('npm commands in documents name scripts that exist', async (t) => {
  t.ok(documents.includes('README.md') && documents.includes('README.zh.md'))
  for (const document of documents) {
    const text = textOf(document)
    for (const [, name = ''] of text.matchAll(/\bnpm run ([\w:-]+)/g))
      t.ok(name in scripts, `${document}: npm run ${name}`)
    for (const [, name = ''] of text.matchAll(/\bnpm (start|test)\b/g)) t.ok(shortNames.has(name) && name in scripts)
  }
})

test('scripts run files that exist, on the Node of the workspace', async (t) => {
  for (const [name, command] of Object.entries(scripts)) {
    const [, file] = /^node dev\/bootstrap\.mjs (\S+)$/.exec(command) ?? []
    if (file === undefined) continue
    const path = file.endsWith('.ts') ? file : `dev/src/${file}.ts`
    t.doesNotThrow(() => textOf(path), `${name} runs ${path}`)
  }
})

test('documents name no TypeScript file to be run by the machine’s own Node', async (t) => {
  for (const document of documents)
    for (const block of textOf(document).matchAll(/^```sh\n(.*?)^```/gms))
      t.notMatch(block[1], /^\s*node \S+\.ts/m, document)
})

test('each secret of SECURITY.md has its way to be changed in docs/operations.md', async (t) => {
  const part = (document: string, heading: string) =>
    textOf(document).split(`\n## ${heading}`)[1]?.split('\n## ')[0] ?? ''
  const firstCells = (text: string) => [...text.matchAll(/^\| ([^|]*)\|/gm)].map(([, cell = '']) => cell)
  const namesIn = (cells: string[]) => cells.join(' ').match(/[A-Z][A-Z\d]*_[A-Z\d_]+/g) ?? []
  const secrets = namesIn(firstCells(part('SECURITY.md', 'What each secret opens')))
  t.ok(secrets.length > 9)
  const keys = part('docs/operations.md', 'Keys')
  for (const name of secrets) t.match(keys, new RegExp(`^\\|.*\\b${name}\\b`, 'm'), name)
})
