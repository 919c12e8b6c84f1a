/** What no schema sees: whether names lead anywhere. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import {
  type Container,
  environmentOf,
  here,
  type KubernetesObject,
  overlays,
  readJobs,
  readObjects,
  render,
  type Selector,
  selects,
  titleOf,
  type Workload,
  workloadsOf,
} from './manifests.ts'
import { secretsOf } from './secrets.ts'

const ofKind = (objects: readonly KubernetesObject[], ...kinds: string[]) =>
  objects.filter(({ kind }) => kinds.includes(kind))

const hasPort = (container: Container, port: string | number) =>
  (container.ports ?? []).some(({ name, containerPort }) => port === name || port === containerPort)

for (const overlay of overlays)
  test(`${overlay}: every name leads somewhere`, async (t) => {
    const objects = await render(`overlays/${overlay}`)
    const workloads = workloadsOf(objects)
    const jobs = workloadsOf(await readJobs())
    const chosen = (selector: Selector) => workloads.filter(({ labels }) => selects(selector, labels))

    for (const { metadata, spec } of ofKind(objects, 'Service')) {
      const pods = chosen({ matchLabels: spec.selector })
      t.equal(pods.length, 1, `Service ${metadata.name} chooses one kind of pod`)
      for (const { targetPort } of spec.ports)
        t.ok(hasPort(pods[0]!.container, targetPort), `Service ${metadata.name}: its pod has the port ${targetPort}`)
    }
    for (const object of ofKind(objects, 'PodDisruptionBudget'))
      t.equal(chosen(object.spec.selector).length, 1, `${titleOf(object)} chooses one kind of pod`)
    for (const { spec, metadata } of ofKind(objects, 'HorizontalPodAutoscaler')) {
      const target = workloads.find(({ object, name }) => object.kind === 'Deployment' && name === metadata.name)
      t.equal(spec.scaleTargetRef.name, target?.name, 'an autoscaler has the name of its Deployment')
      t.notOk(target?.object.spec.replicas, `${metadata.name}: the replicas are the autoscaler's`)
      t.ok(target?.container.resources?.requests?.['cpu'], `${metadata.name}: a share of CPU needs a request`)
    }
    for (const object of ofKind(objects, 'NetworkPolicy')) checkPolicy(object)
    for (const workload of workloads) checkWorkload(workload)

    function checkPolicy(object: KubernetesObject) {
      const pods = chosen(object.spec.podSelector)
      t.ok(pods.length > 0, `${titleOf(object)} chooses pods`)
      for (const { from = [], ports = [] } of object.spec.ingress ?? []) {
        for (const { podSelector, namespaceSelector } of from)
          if (podSelector && !namespaceSelector)
            t.ok(
              [...workloads, ...jobs].some(({ labels }) => selects(podSelector, labels)),
              `${titleOf(object)} lets pods in that there are`,
            )
        for (const { port } of ports)
          t.ok(
            pods.some(({ container }) => hasPort(container, port)),
            `${titleOf(object)}: port ${port}`,
          )
      }
    }

    function checkWorkload(workload: Workload) {
      const { object, labels, pod, container } = workload
      const title = titleOf(object)
      t.ok(selects(object.spec.selector, labels), `${title} chooses its own pods`)
      t.same(
        workloads.filter((other) => selects(object.spec.selector, other.labels)).length,
        1,
        `${title} chooses no other pods`,
      )
      for (const { labelSelector } of pod.topologySpreadConstraints ?? [])
        t.strictSame(chosen(labelSelector), [workload], `${title} is spread by its own pods`)
      for (const kind of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) {
        const probe = container[kind]
        t.ok(probe, `${title} has a ${kind}`)
        const asked = probe?.httpGet ?? probe?.tcpSocket
        if (asked) t.ok(hasPort(container, asked.port), `${title}: ${kind} asks port ${asked.port}`)
      }
      const claims = (object.spec.volumeClaimTemplates ?? []) as KubernetesObject[]
      const volumes = [...(pod.volumes ?? []).map(({ name }) => name), ...claims.map(({ metadata }) => metadata.name)]
      t.strictSame(
        [...new Set(container.volumeMounts?.map(({ name }) => name) ?? [])].sort(),
        volumes.sort(),
        `${title} mounts its volumes`,
      )
      for (const { configMap, secret } of pod.volumes ?? []) {
        if (configMap)
          t.ok(
            objects.some(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === configMap.name),
            `${title}: ConfigMap ${configMap.name}`,
          )
        if (secret) t.equal(secret.secretName, 'im-xmpp-tls', `${title}: the secret of examples/cert-manager.yaml`)
      }
      if (object.kind === 'StatefulSet') {
        const service = objects.find(
          ({ kind, metadata }) => kind === 'Service' && metadata.name === object.spec.serviceName,
        )
        t.equal(service?.spec.clusterIP, 'None', `${title} gives its pods names by a headless Service`)
        t.ok(selects({ matchLabels: service?.spec.selector }, labels))
      }
    }
  })

for (const overlay of overlays)
  test(`${overlay}: every address is that of a Service and one of its ports`, async (t) => {
    const objects = await render(`overlays/${overlay}`)
    const services = new Map(ofKind(objects, 'Service').map(({ metadata, spec }) => [metadata.name, spec.ports]))
    let found = 0
    for (const workload of workloadsOf(objects)) {
      for (const [name, value] of Object.entries(environmentOf(workload, objects, secretsOf(overlay)))) {
        if (!URL.canParse(value)) continue
        const { hostname, port } = new URL(value)
        if (hostname.includes('.')) continue // outside
        const ports = services.get(hostname)
        t.ok(
          ports?.some((offered: { port: number }) => String(offered.port) === port),
          `${workload.name}: ${name} is ${hostname}:${port}`,
        )
        found++
      }
    }
    t.ok(found > 40)
  })

test('a pod that is replaced, moved or scaled in interrupts nobody', async (t) => {
  const objects = await render('overlays/production')
  const workloads = workloadsOf(objects)
  const named = (kind: string, name: string) =>
    objects.find((object) => object.kind === kind && object.metadata.name === name)
  for (const { name, object, labels, pod, container } of workloads) {
    const budgets = ofKind(objects, 'PodDisruptionBudget').filter(({ spec }) => selects(spec.selector, labels))
    t.strictSame(
      budgets.map(({ spec }) => spec.maxUnavailable),
      [1],
      `${name}: a node that is drained takes one at a time`,
    )
    t.ok(pod.topologySpreadConstraints?.length, `${name} is spread over the nodes`)
    const replicas = named('HorizontalPodAutoscaler', name)?.spec.minReplicas ?? object.spec.replicas
    t.ok(replicas >= 2, `${name}: another one is there while one is replaced`)
    if (name !== 'nats') t.ok(object.spec.minReadySeconds > 0, `${name}: one that dies at once stops the rollout`)
    if (labels['part'] !== 'service') continue
    // Being ready asks for no other service and no store: their loss must take no pod out.
    for (const kind of ['startupProbe', 'readinessProbe'] as const)
      t.equal(container[kind]?.httpGet?.path, '/startedz', `${name}: ${kind}`)
    t.equal(container.livenessProbe?.httpGet?.path, '/healthz', `${name}: livenessProbe`)
    t.match(object.spec.strategy.rollingUpdate, { maxUnavailable: 0 }, name)
    if (name !== 'message-feed') t.ok(named('HorizontalPodAutoscaler', name), `${name} follows its load`)
  }
  for (const { object } of workloads.filter(({ object: { kind } }) => kind === 'StatefulSet')) {
    const title = titleOf(object)
    t.ok(named('Service', object.spec.serviceName)?.spec.publishNotReadyAddresses, `${title}: found while it ends`)
    const { persistentVolumeClaimRetentionPolicy: kept = { whenScaled: 'Retain', whenDeleted: 'Retain' } } = object.spec
    t.strictSame(kept, { whenScaled: 'Retain', whenDeleted: 'Retain' }, `${title}: what it holds outlives it`)
  }
})

/** Where the images keep what has to outlive a pod. The folder of NATS is in its configuration. */
const kept: Record<string, string> = { xmpp: '/var/lib/im-xmpp', mongodb: '/data/db', redis: '/data' }

for (const overlay of overlays)
  test(`${overlay}: what is written lies on a volume`, async (t) => {
    const objects = await render(`overlays/${overlay}`)
    for (const workload of workloadsOf(objects)) {
      const { name, object, pod, container } = workload
      const claims = (object.spec.volumeClaimTemplates ?? []) as KubernetesObject[]
      const lasting = [
        ...claims.map(({ metadata }) => metadata.name),
        ...(pod.volumes ?? []).filter((volume) => 'persistentVolumeClaim' in volume).map((volume) => volume.name),
      ]
      const mounts = container.volumeMounts ?? []
      const env = environmentOf(workload, objects, secretsOf(overlay))
      const folders = [name === 'nats' ? (await readNats(objects)).folder : kept[name]]
      if (name === 'message') {
        const staging = env['UPLOAD_STAGING'] ?? ''
        t.ok(mounts.some(({ mountPath }) => `${staging}/`.startsWith(`${mountPath}/`)))
        if (env['FILE_STORE'] === 'directory') folders.push(env['FILE_DIRECTORY'])
      }
      // Exactly that folder: images have volumes of their own below others, which end with the container.
      for (const folder of folders)
        if (folder)
          t.ok(
            mounts.some((mount) => mount.mountPath === folder && lasting.includes(mount.name)),
            `${name}: ${folder}`,
          )
    }
  })

const bytesOf = (quantity: string) => Number.parseFloat(quantity) * 1024 ** ' KMGT'.indexOf(quantity.at(-2) ?? ' ')

test('the volume of an XMPP server has room for the longest log', async (t) => {
  const configuration = await readFile(join(here, '../xmpp/prosody/prosody.cfg.lua'), 'utf8')
  const [, product = ''] = /"XMPP_LOG_MAX_BYTES", ([\d* ]+)\)/.exec(configuration) ?? []
  const byDefault = product.split('*').reduce((size, factor) => size * Number(factor), 1)
  t.ok(byDefault >= 1024 ** 3)
  for (const overlay of overlays) {
    const objects = await render(`overlays/${overlay}`)
    const xmpp = workloadsOf(objects).find(({ name }) => name === 'xmpp')!
    const longest = Number(environmentOf(xmpp, objects, secretsOf(overlay))['XMPP_LOG_MAX_BYTES'] ?? byDefault)
    const volume = bytesOf(xmpp.object.spec.volumeClaimTemplates[0].spec.resources.requests.storage)
    // An eighth more, because files are removed only whole.
    t.ok(volume > longest * 1.125, `${overlay}: ${volume} bytes for a log of ${longest}`)
  }
})

test('XMPP servers take the certificate from the secret that cert-manager fills', async (t) => {
  for (const overlay of ['production', 'offline'] as const) {
    const objects = await render(`overlays/${overlay}`)
    const xmpp = workloadsOf(objects).find(({ name }) => name === 'xmpp')!
    const env = environmentOf(xmpp, objects, secretsOf(overlay))
    const volume = xmpp.pod.volumes?.find(({ secret }) => secret)?.name
    const mount = xmpp.container.volumeMounts?.find(({ name }) => name === volume)?.mountPath
    t.strictSame([env['XMPP_CERT'], env['XMPP_KEY']], [`${mount}/tls.crt`, `${mount}/tls.key`], overlay)
    t.equal(env['XMPP_REQUIRE_TLS'], 'true')
  }
})

/** What NATS servers read: the files of their ConfigMap that their arguments lead to. */
async function readNats(objects: readonly KubernetesObject[]) {
  const { container, pod, object } = workloadsOf(objects).find(({ name }) => name === 'nats')!
  const volume = pod.volumes?.find(({ configMap }) => configMap)
  const mount = container.volumeMounts?.find(({ name }) => name === volume?.name)?.mountPath
  const files = objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === volume?.configMap?.name)
  const read = (name: string): string => {
    const text = files?.data?.[name]
    if (text === undefined) throw new Error(`nats: there is no file ${name} in ${mount}`)
    return text.replace(/^include (\S+)$/m, (_line, included: string) => read(included))
  }
  const [flag, file = ''] = container.args ?? []
  if (flag !== '-c' || !file.startsWith(`${mount}/`)) throw new Error(`nats: ${file} is no file in ${mount}`)
  const text = read(file.slice(`${mount}/`.length))
  return {
    container,
    text,
    replicas: object.spec.replicas as number,
    folder: /store_dir: (\S+)/.exec(text)?.[1],
    monitorPort: Number(/^http: (\d+)/m.exec(text)?.[1]),
    clusterPort: Number(/^ {2}port: (\d+)/m.exec(text)?.[1]),
    routes: text.match(/nats:\/\/\S+/g) ?? [],
  }
}

test('NATS servers find each other, and each event is written to as many as there are', async (t) => {
  for (const overlay of overlays) {
    const objects = await render(`overlays/${overlay}`)
    const { container, text, replicas, monitorPort, clusterPort, routes } = await readNats(objects)
    const portOf = (wanted: string) => container.ports?.find(({ name }) => name === wanted)?.containerPort
    t.equal(monitorPort, portOf('monitor'), overlay)
    for (const [, name] of text.matchAll(/\$(\w+)/g))
      t.ok(
        container.env?.some((one) => one.name === name),
        `$${name}`,
      )
    const service = workloadsOf(objects).find(({ name }) => name === 'user')!
    t.equal(environmentOf(service, objects, secretsOf(overlay))['NATS_REPLICAS'], String(replicas), overlay)
    const peers = replicas === 1 ? [] : [...Array(replicas).keys()]
    t.strictSame(
      routes,
      peers.map((number) => `nats://nats-${number}.nats-cluster:${portOf('cluster')}`),
      `${overlay}: base/nats/cluster.conf`,
    )
    if (replicas > 1) t.equal(clusterPort, portOf('cluster'))
  }
})

test('probes ask what tells of the server alone', async (t) => {
  for (const overlay of overlays)
    for (const { name, container } of workloadsOf(await render(`overlays/${overlay}`))) {
      const { startupProbe, readinessProbe, livenessProbe } = container
      const asked = [startupProbe, readinessProbe, livenessProbe].map(
        (probe) => probe?.httpGet ?? probe?.tcpSocket ?? probe?.exec,
      )
      if (name === 'xmpp')
        t.match(asked, [{ port: 'http', path: '/http-bind' }, { port: 'http', path: '/http-bind' }, { port: 'http' }])
      // Without it all three fail for seconds when a leader dies.
      const alone = { port: 'monitor', path: '/healthz?js-server-only=true' }
      if (name === 'nats') t.match(asked, [{ port: 'monitor', path: '/healthz' }, alone, alone])
    }
})

test('the examples name objects that there are', async (t) => {
  const objects = await render('overlays/production')
  const gateway = objects.find(({ kind, metadata }) => kind === 'Service' && metadata.name === 'gateway')
  const [ingress] = await readObjects('examples/ingress.yaml')
  const { backend } = ingress!.spec.rules[0].http.paths[0]
  t.strictSame([backend.service.name, backend.service.port.name], ['gateway', gateway!.spec.ports[0].name])
  const routes = (await readObjects('examples/gateway-api.yaml')).filter(({ kind }) => kind === 'HTTPRoute')
  for (const { name, port } of routes.flatMap(({ spec }) => spec.rules).flatMap(({ backendRefs }) => backendRefs))
    t.strictSame([name, port], ['gateway', gateway!.spec.ports[0].port])
  const certificates = (await readObjects('examples/cert-manager.yaml')).filter(({ kind }) => kind === 'Certificate')
  t.equal(certificates[0]?.spec.secretName, 'im-xmpp-tls')
  const [external] = await readObjects('examples/external-secrets.yaml')
  t.equal(external!.spec.target.name, 'im-secrets')
})
