/** Who talks to whom, and what a container that was taken over can do. */
import { join } from 'node:path'
import type { Service } from '@im/service-kit'
import { test } from 'tap'
import {
  environmentOf,
  here,
  type KubernetesObject,
  type Labels,
  overlays,
  readJobs,
  readObjects,
  render,
  type Selector,
  selects,
  titleOf,
  workloadsOf,
} from './manifests.ts'
import { secretsOf } from './secrets.ts'

const all = async () => await Promise.all(overlays.map((overlay) => render(`overlays/${overlay}`)))

test('no container is more than it needs to be', async (t) => {
  const jobs = await readJobs()
  const workloads = workloadsOf([...(await all()).flat(), ...jobs])
  const containers = workloads.flatMap((one) =>
    [...(one.pod.initContainers ?? []), ...one.pod.containers].map((container) => ({ ...one, container })),
  )
  for (const { object, pod, container } of containers) {
    const title = titleOf(object)
    t.equal(pod.automountServiceAccountToken, false, `${title}: no token of the cluster`)
    if (!jobs.includes(object as never)) t.equal(pod.enableServiceLinks, false, `${title}: no variables for Services`)
    t.match(pod.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }, title)
    t.ok(Number(pod.securityContext?.['runAsUser']) > 0 && Number(pod.securityContext?.['runAsGroup']) > 0, title)
    t.match(
      container.securityContext,
      { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      title,
    )
    for (const name of ['memory', 'ephemeral-storage']) {
      t.ok(container.resources?.requests?.[name], `${title}: request of ${name}`)
      t.ok(container.resources?.limits?.[name], `${title}: limit of ${name}`)
    }
    t.match(container.image, /:\d[\w.-]*$/, `${title}: an image of one version`)
  }
})

type Peer = { podSelector?: Selector; namespaceSelector?: Selector }

/** Whether a pod may open a connection to a port of another pod of the namespace. */
function isLetIn(policies: readonly KubernetesObject[], from: Labels, to: Labels, port: string): boolean {
  return policies
    .filter(({ spec }) => spec.policyTypes.includes('Ingress') && selects(spec.podSelector, to))
    .flatMap(({ spec }) => spec.ingress ?? [])
    .some(
      ({ from: peers, ports }: { from?: Peer[]; ports: { port: string }[] }) =>
        ports.some((allowed) => allowed.port === port) &&
        (!peers ||
          peers.some(({ podSelector, namespaceSelector }) => !namespaceSelector && selects(podSelector ?? {}, from))),
    )
}

test('services reach those whose addresses they have among their settings, and nobody else', async (t) => {
  for (const [index, objects] of (await all()).entries()) {
    const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy')
    const workloads = workloadsOf(objects)
    for (const from of workloads) {
      const env = environmentOf(from, objects, secretsOf(overlays[index]!))
      const peers = new Set<string>()
      if (from.labels['part'] === 'service') {
        const { service } = (await import(join(here, `../../services/${env['SERVICE']}/src/service.ts`))) as {
          service: Service
        }
        for (const { setting } of Object.values(service.settings.properties) as unknown as {
          setting: { env: string }
        }[]) {
          const url = /_URLS?$/.test(setting.env) ? env[setting.env] : undefined
          if (url && URL.canParse(url)) peers.add(new URL(url).hostname)
        }
      } else if (from.name === 'xmpp') peers.add(new URL(env['USER_URL']!).hostname)
      for (const to of workloads) {
        if (to.labels['part'] !== 'service' || to.name === 'message-feed') continue
        // The gateway's API is open to everybody.
        if (to.name !== 'gateway')
          t.equal(
            isLetIn(policies, from.labels, to.labels, 'http'),
            peers.has(to.name),
            `${overlays[index]}: ${from.name} ${peers.has(to.name) ? 'reaches' : 'does not reach'} ${to.name} (base/network/ingress.yaml)`,
          )
        t.notOk(isLetIn(policies, from.labels, to.labels, 'operations'))
      }
      for (const store of ['nats', 'redis', 'mongodb']) {
        const to = workloads.find(({ name }) => name === store)
        const isStore = from.name === store && store === 'mongodb'
        if (to)
          t.equal(
            isLetIn(policies, from.labels, to.labels, 'client'),
            peers.has(store) || isStore,
            `${overlays[index]}: ${from.name} and ${store}`,
          )
      }
      const xmpp = workloads.find(({ name }) => name === 'xmpp')!
      t.equal(isLetIn(policies, from.labels, xmpp.labels, 'http'), from.name === 'gateway')
      t.equal(isLetIn(policies, from.labels, xmpp.labels, 'component'), /^message/.test(from.name))
    }
  }
})

interface EgressRule {
  to?: (Peer & { ipBlock?: { cidr: string } })[]
  ports: { port: number }[]
}

/** Whether a pod may open a connection to a port outside of the namespace: to an address on the internet, or to one somewhere. */
function isLetOut(policies: readonly KubernetesObject[], from: Labels, port: number, where: 'internet' | 'somewhere') {
  return policies
    .filter(({ spec }) => spec.policyTypes.includes('Egress') && selects(spec.podSelector, from))
    .flatMap(({ spec }): EgressRule[] => spec.egress ?? [])
    .some(
      ({ to, ports = [] }) =>
        ports.some((allowed) => allowed.port === port) &&
        (!to || to.some(({ ipBlock }) => ipBlock && (where === 'somewhere' || ipBlock.cidr === '0.0.0.0/0'))),
    )
}

const defaultPorts: Record<string, string> = { 'https:': '443', 'http:': '80', 'mongodb:': '27017', 'redis:': '6379' }

test('services reach the addresses outside that they have among their settings', async (t) => {
  const reached = new Set<string>()
  for (const [index, objects] of (await all()).entries()) {
    const overlay = overlays[index]!
    const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy')
    for (const from of workloadsOf(objects).filter(({ labels }) => labels['part'] === 'service')) {
      const env = environmentOf(from, objects, secretsOf(overlay))
      const { service } = (await import(join(here, `../../services/${env['SERVICE']}/src/service.ts`))) as {
        service: Service
      }
      for (const { setting } of Object.values(service.settings.properties) as unknown as {
        setting: { env: string; default?: unknown }
      }[]) {
        // What apps are told is not an address that the service calls.
        if (!/_(URLS?|ENDPOINT)$/.test(setting.env) || setting.env.startsWith('PUBLIC_')) continue
        const given = env[setting.env]
        // Nobody outside, unless an operator says so.
        if (!given && overlay === 'offline') continue
        const text = given ?? String(setting.default ?? '')
        const url = URL.parse(text)
        if (!url?.hostname.includes('.') || url.hostname === '127.0.0.1') continue
        const port = Number(url.port || defaultPorts[url.protocol])
        t.ok(
          isLetOut(policies, from.labels, port, given ? 'somewhere' : 'internet'),
          `${overlay}: ${from.name} reaches ${setting.env}, ${url.host} (base/network/egress.yaml)`,
        )
        reached.add(`${from.name} ${port}`)
      }
    }
    // Stores of an operator's own, without TLS too, and a bucket that is no public one.
    if (overlay !== 'small')
      for (const port of [27017, 6379, 6380, 9000])
        t.ok(isLetOut(policies, { app: 'message', part: 'service' }, port, 'somewhere'), `${overlay}: port ${port}`)
  }
  for (const one of ['user 443', 'push 443', 'message 443', 'message-feed 443', 'room 27017', 'gateway 6380'])
    t.ok(reached.has(one), one)
})

test('apps reach XMPP servers and the gateway from anywhere, and NATS servers each other', async (t) => {
  for (const objects of await all()) {
    const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy')
    const workloads = workloadsOf(objects)
    const labelsOf = (wanted: string) => workloads.find(({ name }) => name === wanted)!.labels
    const isOpen = (to: Labels, port: string) =>
      policies
        .filter(({ spec }) => selects(spec.podSelector, to))
        .flatMap(({ spec }) => spec.ingress ?? [])
        .some(({ from, ports }) => !from && ports.some((allowed: { port: string }) => allowed.port === port))
    const open = workloads.flatMap(({ name, labels, container }) =>
      (container.ports ?? []).filter((port) => isOpen(labels, port.name)).map((port) => `${name} ${port.name}`),
    )
    t.strictSame(open.sort(), ['gateway http', 'xmpp client'], 'and nothing else is open to everybody')
    for (const from of workloads)
      t.equal(isLetIn(policies, from.labels, labelsOf('nats'), 'cluster'), from.name === 'nats', from.name)
    const [entrance] = objects.filter(({ kind, spec }) => kind === 'Service' && /Port|Balancer/.test(spec.type ?? ''))
    t.match(entrance, {
      spec: {
        externalTrafficPolicy: 'Local',
        selector: { app: 'xmpp' },
        ports: [{ port: 5222, targetPort: 'client' }],
      },
    })
  }
})

test('jobs that make backups and restore them reach the stores', async (t) => {
  const jobs = workloadsOf(await readJobs())
  t.strictSame(
    jobs.map(({ name }) => name),
    ['backup', 'restore'],
  )
  const own = (await readObjects('examples/backup.yaml')).filter(({ kind }) => kind === 'NetworkPolicy')
  for (const { labels } of jobs) {
    const ports = own
      .filter(({ spec }) => selects(spec.podSelector, labels))
      .flatMap(({ spec }) => spec.egress)
      .flatMap(({ to, ports }) => (to ? [] : ports.map(({ port }: { port: number }) => port)))
    t.strictSame(ports, [27017, 6379, 6380], 'wherever they are')
    const small = await render('overlays/small')
    const policies = small.filter(({ kind }) => kind === 'NetworkPolicy')
    for (const store of ['mongodb', 'redis']) {
      const to = workloadsOf(small).find(({ name }) => name === store)!
      t.ok(isLetIn(policies, labels, to.labels, 'client'), `${store} of the overlay small`)
    }
  }
})

test('every pod finds names, and Prometheus every pod that says it is to be scraped', async (t) => {
  for (const objects of await all()) {
    const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy')
    for (const { name, object, labels, container } of workloadsOf(objects)) {
      const own = policies.filter(({ spec }) => selects(spec.podSelector, labels))
      const egress = own.flatMap(({ spec }) => spec.egress ?? [])
      const dns = egress.filter(({ to }) =>
        to?.some(
          ({ namespaceSelector }: Peer) =>
            namespaceSelector?.matchLabels?.['kubernetes.io/metadata.name'] === 'kube-system',
        ),
      )
      t.match(
        dns.flatMap(({ ports }) => ports),
        [
          { protocol: 'UDP', port: 53 },
          { protocol: 'TCP', port: 53 },
        ],
        `${name}: DNS`,
      )
      t.ok(
        egress.some(({ to }) =>
          to?.some(({ podSelector, ipBlock }: Peer & { ipBlock?: object }) => podSelector && !ipBlock),
        ),
        `${name}: pods of the namespace`,
      )
      const scraped = object.spec.template.metadata.annotations?.['prometheus.io/port']
      if (scraped === undefined) continue
      const port = container.ports?.find(({ containerPort }) => String(containerPort) === scraped)?.name
      const isLetInFromMonitoring = own
        .flatMap(({ spec }) => spec.ingress ?? [])
        .some(
          ({ from, ports }: { from?: Peer[]; ports: { port: string }[] }) =>
            ports.some((allowed) => allowed.port === port) &&
            from?.some((peer) => peer.namespaceSelector?.matchLabels?.['kubernetes.io/metadata.name'] === 'monitoring'),
        )
      t.ok(isLetInFromMonitoring, `${name}: port ${port} for Prometheus`)
    }
  }
})

test('what no policy names is denied, and the offline overlay reaches no public address', async (t) => {
  for (const objects of await all()) {
    const deny = objects.find(({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === 'default-deny')
    t.strictSame(deny?.spec, { podSelector: {}, policyTypes: ['Ingress', 'Egress'] })
  }
  const offline = (await render('overlays/offline')).filter(({ kind }) => kind === 'NetworkPolicy')
  const targets = offline.flatMap(({ spec }) => spec.egress ?? []).map(({ to }) => to)
  t.ok(
    targets.every((to) => Array.isArray(to)),
    'no egress to everywhere',
  )
  for (const { ipBlock } of targets.flat()) if (ipBlock) t.match(ipBlock.cidr, /^(10\.|169\.254\.20\.10\/32)/)
})
