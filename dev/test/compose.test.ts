import { test } from 'tap'
import { readCompose } from '../src/containers/index.ts'
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
