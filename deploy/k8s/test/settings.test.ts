/** Every pod gets the settings and the secrets that its process starts with, and no others. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { endpoints, type ServiceName } from '@im/contracts'
import { idleConnectionMs, type Service } from '@im/service-kit'
import { type Test, test } from 'tap'
import {
  environmentOf,
  here,
  type KubernetesObject,
  overlays,
  render,
  type Workload,
  workloadsOf,
} from './manifests.ts'
import { secretsOf } from './secrets.ts'

const longestDefault = 5000

interface SettingOf {
  setting: { env: string; secret?: boolean; production?: string }
}

/** Read by the image, not by the service. */
const ofTheImage = new Set(['SERVICE'])
/** Parts of an address. */
const partsOfAddresses = new Set(['NATS_PASSWORD'])

async function serviceOf({ container }: Workload): Promise<Service> {
  const name = container.env?.find((entry) => entry.name === 'SERVICE')?.value
  return (await import(join(here, `../../services/${name}/src/service.ts`))).service as Service
}

const settingsOf = ({ settings }: Service) =>
  Object.values(settings.properties as unknown as Record<string, SettingOf>).map(({ setting }) => setting)

/** Names of the variables that a container takes from a secret. */
const secretNames = ({ container }: Workload) =>
  (container.env ?? []).flatMap(({ name, valueFrom }) => (valueFrom?.secretKeyRef ? [name] : []))

const servicesOf = (objects: KubernetesObject[]) =>
  workloadsOf(objects).filter(({ labels }) => labels['part'] === 'service')

for (const overlay of overlays)
  test(`${overlay}: every service starts with the environment of its pod`, async (t) => {
    const objects = await render(`overlays/${overlay}`)
    const secrets = secretsOf(overlay)
    const used = new Set<string>()
    for (const workload of servicesOf(objects)) {
      const service = await serviceOf(workload)
      const env = environmentOf(workload, objects, secrets)
      const known = settingsOf(service)
      t.ok(service.readConfig(env), `${workload.name} takes its settings`)
      for (const { env: name } of known) if (env[name]) used.add(name)
      checkPorts(t, workload, env)
      checkSecrets(t, workload, known, env)
      checkEnd(t, workload, env)
      // The same environment without one of what production demands is refused: the line above proves something.
      for (const { env: name, production } of known)
        if (production) t.throws(() => service.readConfig({ ...env, [name]: '' }), { message: new RegExp(name) })
    }
    for (const { kind, metadata, data = {} } of objects) {
      if (kind !== 'ConfigMap' || !/^im-(settings|domain)/.test(metadata.name)) continue
      for (const name of Object.keys(data)) t.ok(used.has(name), `a service has the setting ${name}`)
    }
  })

function checkPorts(t: Test, { name, container }: Workload, env: Record<string, string>) {
  const ports = container.ports?.map(({ containerPort }) => String(containerPort))
  t.strictSame(ports, [env['PORT'], env['OPERATIONS_PORT']].filter(Boolean), `${name} listens at the ports of its pod`)
}

function checkSecrets(t: Test, workload: Workload, known: SettingOf['setting'][], env: Record<string, string>) {
  const { name, container } = workload
  const named = secretNames(workload)
  for (const { env: key, secret } of known)
    if (secret && key !== 'NATS_URL')
      t.ok(named.includes(key), `${name} takes ${key} from the secret: base/${name}/kustomization.yaml`)
  for (const key of named)
    if (!partsOfAddresses.has(key)) t.ok(known.find(({ env: its }) => its === key)?.secret, `${name} needs ${key}`)
  t.match(env['NATS_URL'], /^nats:\/\/im:[0-9a-f]+@nats:4222$/)
  for (const { name: key } of container.env ?? [])
    if (!ofTheImage.has(key) && !partsOfAddresses.has(key) && key !== 'XMPP_DOMAIN')
      t.ok(
        known.some(({ env: its }) => its === key),
        `${name} has the setting ${key}`,
      )
  t.notOk(
    container.envFrom?.some(({ secretRef }) => secretRef),
    'no secret is given whole',
  )
}

/** The pod is killed no earlier than its process has given up, and that no earlier than its longest call may end. */
function checkEnd(t: Test, { name, pod }: Workload, env: Record<string, string>) {
  const own = endpoints.filter(({ service }) => name === 'gateway' || service === (env['SERVICE'] as ServiceName))
  const longest = Math.max(...own.map(({ timeoutMs = longestDefault, body }) => (body === 'stream' ? 0 : timeoutMs)), 0)
  const shutdown = Number(env['SHUTDOWN_SECONDS'])
  t.ok(
    shutdown * 1000 > longest,
    `${name}: SHUTDOWN_SECONDS=${shutdown} is longer than the longest call (${longest} ms)`,
  )
  const drain = Number(env['DRAIN_SECONDS'])
  t.ok(drain * 1000 > idleConnectionMs, `${name}: DRAIN_SECONDS=${drain} is longer than others keep idle connections`)
  t.ok((pod.terminationGracePeriodSeconds ?? 30) > drain + shutdown, `${name} has the time to end`)
}

test('XMPP servers get what their configuration asks for', async (t) => {
  const configuration = await readFile(join(here, '../xmpp/prosody/prosody.cfg.lua'), 'utf8')
  const known = new Set(
    [...configuration.matchAll(/\b(?:env|secret|number|count|flag|list|addresses|matching|choice)\("([A-Z_]+)"/g)].map(
      ([, name]) => name,
    ),
  )
  const required = [...configuration.matchAll(/\bsecret\("([A-Z_]+)"/g)].map(([, name]) => name!)
  t.ok(known.has('XMPP_END_SECONDS') && required.length === 2)
  for (const overlay of overlays) {
    const objects = await render(`overlays/${overlay}`)
    const workload = workloadsOf(objects).find(({ name }) => name === 'xmpp')!
    const env = environmentOf(workload, objects, secretsOf(overlay))
    for (const name of required) t.ok(env[name], `${name} is set`)
    for (const name of Object.keys(env)) t.ok(known.has(name), `${name} is a setting`)
    t.strictSame(secretNames(workload).sort(), [...required].sort(), 'it has no other secret')
    t.equal(env['XMPP_SERVER_NAME'], 'xmpp-0')
    t.ok(workload.pod.terminationGracePeriodSeconds! > Number(env['XMPP_END_SECONDS']) + 10)
    const service = workloadsOf(objects).find(({ name }) => name === 'message')!
    t.equal(env['XMPP_DOMAIN'], environmentOf(service, objects, secretsOf(overlay))['XMPP_DOMAIN'])
  }
})
