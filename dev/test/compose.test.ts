import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Service } from '@im/service-kit'
import { test } from 'tap'
import { parse } from 'yaml'
import { readCompose } from '../src/containers/index.ts'
import { repositoryRoot } from '../src/machine/machine.ts'
import { serviceNames } from '../src/services.ts'

test('every service of the stack has its container, told which one to run and checked for health', async (t) => {
  const containers = await readCompose()
  for (const name of serviceNames) {
    const container = containers.find((each) => each.name === name)
    t.match(container, { image: 'yingchuang-im', environment: { SERVICE: name, PORT: /^\d+$/ } }, name)
    t.match(container?.healthcheck?.test, ['CMD', 'node', '-e', /readyz/], name)
  }
})

test('values that come from .env are not taken for what stands in the file', async (t) => {
  const containers = await readCompose()
  const environments = containers.flatMap(({ environment }) => Object.entries(environment))
  t.ok(environments.some(([name]) => name === 'USER_URL'))
  t.strictSame(
    environments.filter(([name, value]) => name === 'MONGODB_URL' || name === 'SERVICE_KEY' || value.includes('${')),
    [],
  )
  const nats = containers.find(({ name }) => name === 'nats')
  t.match(nats?.files, [{ source: /deploy\/docker\/nats\.conf$/, target: '/etc/nats/nats.conf' }])
})

/** What compose makes of `${NAME}`, `${NAME:-default}` and `${NAME:?why}`; throws where it would refuse to start. */
function interpolate(text: string, env: Record<string, string>): string {
  return text.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_whole, name: string, kind?: string, rest = '') => {
    if (env[name]) return env[name]
    if (kind === '?') throw new Error(`${name}: ${rest}`)
    return rest
  })
}

test('each service starts in production with what its container gets: secrets made by one command, and no others', async (t) => {
  const made = execFileSync('sh', [join(repositoryRoot, 'deploy/secrets.sh')], { encoding: 'utf8' })
  const secrets = Object.fromEntries([...made.matchAll(/^(\w+)=(\w+)$/gm)].map(([, name, value]) => [name, value]))
  const file = await readFile(join(repositoryRoot, 'deploy/docker/compose.yaml'), 'utf8')
  const { services } = parse(file, { merge: true }) as {
    services: Record<string, { environment?: Record<string, string | number> }>
  }
  const environmentOf = (name: string) =>
    Object.fromEntries(
      Object.entries(services[name]?.environment ?? {}).map(([key, value]) => [
        key,
        interpolate(String(value), secrets),
      ]),
    )
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
  t.throws(() => interpolate(String(services['user']?.environment?.['SERVICE_KEY']), {}), /deploy\/secrets\.sh/)
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
