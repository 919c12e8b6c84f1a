import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { copyPackages } from '@im/bundle/packages'
import { bundleServices } from '@im/bundle/services'
import { inSources } from '@im/service-kit'
import { execa } from 'execa'
import { after, before, test } from 'tap'
import { repositoryRoot } from '../src/machine/machine.ts'
import { serviceNames } from '../src/services.ts'

/** Not below the repository, where Node would find what the bundle lacks. */
let home: string

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'im-bundled-'))
  await Promise.all([copyPackages(repositoryRoot, home), bundleServices(repositoryRoot, home)])
})

after(() => rm(home, { recursive: true, force: true }))

/** What the images run, without the environment of this test. */
const node = (...args: string[]) =>
  execa(process.execPath, args, {
    ...{ cwd: home, env: { NODE_ENV: 'production' }, extendEnv: false, reject: false, stdin: 'ignore' },
  })

/** Runs code there; resolves with what it gives to `tell`. */
async function inBundle<T>(code: string): Promise<T> {
  const tell = 'const tell = (value) => console.log(JSON.stringify(value))'
  const { stdout, stderr } = await node('--input-type=module', '--eval', `${tell}\n${code}`)
  if (!stdout) throw new Error(stderr)
  return JSON.parse(stdout)
}

test('a process of a service begins from the bundle, and asks for its settings', async (t) => {
  const { exitCode, stderr } = await node('services/user/src/main.mjs')
  t.equal(exitCode, 1)
  t.match(stderr, /^The configuration is not complete:\n {2}- SERVICE_KEY must be set in production/)
})

test('every service is in the bundle, and tells errors by the lines of its sources', async (t) => {
  const stacks = await inBundle<Record<string, string>>(`
    const stacks = {}
    for (const name of ${JSON.stringify(serviceNames)}) {
      const { service } = await import('./services/' + name + '/src/service.mjs')
      try { service.readConfig(null) } catch (error) { stacks[name] = error.stack }
    }
    tell(stacks)`)
  t.strictSame(Object.keys(stacks), [...serviceNames])
  const stack = stacks['user'] ?? ''
  t.match(stack, /\/chunks\/\w+\.mjs:\d+:\d+/)
  const told = inSources(stack, home)
  t.notMatch(told, /\.mjs/)
  t.match(told, `${repositoryRoot}/libs/service-kit/src/config.ts:`)
  const foreign = `at file:///etc/chunks/%zz.mjs:1:1 and at ${pathToFileURL(home)}/chunks/none.mjs:1:1`
  t.equal(inSources(foreign, home), foreign)
  const maps = (await readdir(join(home, 'chunks'))).filter((name) => name.endsWith('.map'))
  const sizes = await Promise.all(maps.map(async (name) => (await stat(join(home, 'chunks', name))).size))
  t.ok(Math.max(...sizes) < 1_500_000, `a map has ${Math.max(...sizes)} bytes at most: it is read beside calls`)
})

test('packages that stay as they are have all they need', async (t) => {
  const entries = await readdir(join(home, 'node_modules'), { withFileTypes: true })
  const found = entries.map(async ({ name }) => {
    const isScope = name.startsWith('@')
    return isScope ? (await readdir(join(home, 'node_modules', name))).map((own) => `${name}/${own}`) : [name]
  })
  const names = (await Promise.all(found)).flat().filter((name) => !name.startsWith('.'))
  const loaded = await inBundle<string[]>(`
    await Promise.all(${JSON.stringify(names)}.map((name) => import(name)))
    tell(${JSON.stringify(names)})`)
  for (const name of ['sharp', '@node-rs/argon2', '@aws-sdk/client-s3', '@opentelemetry/sdk-trace-node', 'pino-pretty'])
    t.ok(loaded.includes(name), name)
})

test('classes of one name keep it in a bundle', async (t) => {
  const fails = 'export class StoreError extends Error {}\n'
  const root = t.testdir({
    'services/some/src': {
      'one.ts': fails,
      'two.ts': fails,
      'main.ts': `import * as one from './one.ts'\nimport * as two from './two.ts'
console.log(JSON.stringify([one, two].map(({ StoreError }) => StoreError.name)))\n`,
    },
  })
  await bundleServices(root, join(root, 'bundle'))
  const { stdout } = await node(join(root, 'bundle/services/some/src/main.mjs'))
  t.strictSame(JSON.parse(stdout), ['StoreError', 'StoreError'])
})

test('the licenses of what is bundled come with it', async (t) => {
  const packages = await readdir(join(home, 'licenses'))
  const texts = await Promise.all(packages.map((name) => readdir(join(home, 'licenses', name))))
  const having = (name: string) => texts[packages.findIndex((each) => each.startsWith(`${name}@`))]
  t.match(having('fastify'), ['LICENSE'])
  t.ok(packages.some((name) => name.startsWith('mongodb@')))
  t.notOk(having('sharp'), 'which comes with its own')
  const without = packages.filter((_, n) => texts[n]?.includes('package.json'))
  t.ok(without.length < packages.length / 10, `no text in ${without}`)
})

test('what is found beside a source is beside its bundle', async (t) => {
  t.ok((await readdir(join(home, 'services/gateway/src/pages'))).includes('plain-page.html'))
  t.ok((await readdir(join(home, 'services/message/src/files'))).includes('image-process-main.mjs'))
})
