import { execFileSync } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Service } from '@im/service-kit'
import { test } from 'tap'
import { parse } from 'yaml'
import { interpolate, readCompose } from '../src/containers/compose.ts'
import { repositoryRoot } from '../src/machine/machine.ts'
import { serviceNames } from '../src/services.ts'

const made = execFileSync('sh', [join(repositoryRoot, 'deploy/secrets.sh')], { encoding: 'utf8' })
const secrets = Object.fromEntries(
  [...made.matchAll(/^(\w+)=(\w+)$/gm)].map(([, name = '', value = '']) => [name, value]),
)

test('every service of the stack has its container, told which one to run and checked for health', async (t) => {
  const containers = await readCompose(secrets)
  for (const name of serviceNames) {
    const container = containers.find((each) => each.name === name)
    t.match(container, { image: 'yingchuang-im', environment: { SERVICE: name, PORT: /^\d+$/ } }, name)
    t.match(container?.healthcheck?.test, ['CMD', 'bash', '-c', /\$\{OPERATIONS_PORT:-\$PORT\}.* \/readyz /s], name)
  }
})

test('values of .env stand in their places, defaults in the others, and nothing starts without a secret', async (t) => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: as compose.yaml has it
  const text = '${A:-b${C:-}d}e${C}'
  t.strictSame(
    [interpolate(text, {}), interpolate(text, { C: 'c' }), interpolate(text, { A: 'a' })],
    ['bde', 'bcdec', 'ae'],
  )
  for (const name of ['SERVICE_KEY', 'NATS_PASSWORD', 'REDIS_PASSWORD'])
    await t.rejects(readCompose({ ...secrets, [name]: '' }), { message: new RegExp(`${name}: .*deploy/`) })
  const nats = (await readCompose(secrets)).find(({ name }) => name === 'nats')
  t.match(nats?.files, [{ source: /deploy\/docker\/nats\.conf$/, target: '/etc/nats/nats.conf' }])
})

test('containers of tests keep and are denied what compose.yaml says', async (t) => {
  const containers = await readCompose(secrets)
  const of = (wanted: string) => containers.find(({ name }) => name === wanted)!
  t.strictSame(
    ['mongodb', 'redis', 'nats', 'xmpp', 'message', 'user'].map((name) => of(name).kept),
    [['/data/db'], ['/data'], ['/data'], ['/var/lib/im-xmpp'], ['/var/lib/im-files'], []],
  )
  const denied = { readOnly: true, capDrop: ['ALL'], securityOpt: ['no-new-privileges:true'] }
  t.strictSame(of('user').limits, { ...denied, memory: 512 * 1024 ** 2 })
  t.strictSame(of('message').limits, { ...denied, memory: 1024 ** 3 })
  t.strictSame(of('xmpp').limits, denied)
  t.strictSame(of('mongodb').limits, { readOnly: false, capDrop: [], securityOpt: [] })
})

test('the file of secrets is for its owner alone', async (t) => {
  const file = join(t.testdir(), '.env')
  const command = `umask 022; sh ${join(repositoryRoot, 'deploy/secrets.sh')} > ${file}`
  execFileSync('sh', ['-c', command])
  t.equal(((await stat(file)).mode & 0o777).toString(8), '600')
  t.match(await readFile(file, 'utf8'), /^SERVICE_KEY=\w{64}$/m)
})

test('stores ask for the passwords that services get, and NATS takes them for text', async (t) => {
  const containers = await readCompose(secrets)
  const of = (wanted: string) => containers.find(({ name }) => name === wanted)!
  const { REDIS_URL = '', NATS_URL = '' } = of('user').environment
  t.equal(of('redis').command?.at(-1), new URL(REDIS_URL).password)
  t.equal(of('redis').environment['REDISCLI_AUTH'], new URL(REDIS_URL).password, 'its health check logs in')
  t.equal(of('nats').environment['NATS_PASSWORD'], `"${new URL(NATS_URL).password}"`)
})

test('each service starts in production with what its container gets: secrets made by one command, and no others', async (t) => {
  const containers = await readCompose(secrets)
  const environmentOf = (wanted: string) => containers.find(({ name }) => name === wanted)?.environment ?? {}
  for (const name of serviceNames) {
    const { service } = (await import(join(repositoryRoot, 'services', name, 'src/service.ts'))) as { service: Service }
    const env = environmentOf(name)
    t.ok(service.readConfig({ ...env, NODE_ENV: 'production', HOST: '0.0.0.0' }), name)
    const settings = Object.values(service.settings.properties).map(
      (property) => (property as unknown as { setting: { env: string; secret?: boolean } }).setting,
    )
    for (const { env: key, secret } of settings)
      if (secret) t.ok(key in env, `${name} is given ${key} when .env has it: compose.yaml`)
    for (const key of Object.keys(env))
      if (key in secrets)
        t.ok(
          settings.some((setting) => setting.env === key),
          `${name} needs ${key}`,
        )
  }
  t.strictSame(
    Object.keys(environmentOf('xmpp'))
      .filter((key) => key in secrets)
      .sort(),
    ['SERVICE_KEY', 'XMPP_COMPONENT_SECRET'],
  )
})

test('stores outside take the place of all stores in containers, which nobody waits for then', async (t) => {
  const read = async (name: string) =>
    parse(await readFile(join(repositoryRoot, 'deploy/docker', name), 'utf8'), { merge: true }) as {
      services: Record<
        string,
        {
          build?: object
          profiles?: string[]
          depends_on?: Record<string, { required?: boolean }>
          environment?: object
        }
      >
    }
  const { services } = await read('compose.yaml')
  const outside = await read('external-stores.yaml')
  const stores = Object.keys(services).filter((name) => !services[name]?.build)
  t.strictSame(Object.keys(outside.services).sort(), stores.sort())
  for (const [name, { profiles, environment }] of Object.entries(outside.services)) {
    t.strictSame(profiles, ['unused'])
    t.match(environment, { NEEDED: new RegExp(`^\\$\\{${name.toUpperCase()}_URL:\\?`) })
  }
  for (const { depends_on: waitsFor = {} } of Object.values(services))
    for (const [name, { required }] of Object.entries(waitsFor)) if (stores.includes(name)) t.equal(required, false)
})
