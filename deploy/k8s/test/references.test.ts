/** What no schema sees: whether names lead anywhere. */
import { test } from 'tap'
import {
  type Container,
  environmentOf,
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

for (const overlay of overlays)
  test(`${overlay}: what is written lies on a volume`, async (t) => {
    const objects = await render(`overlays/${overlay}`)
    for (const workload of workloadsOf(objects)) {
      const mounts = workload.container.volumeMounts?.map(({ mountPath }) => mountPath) ?? []
      const isMounted = (path: string) => mounts.some((mount) => path === mount || path.startsWith(`${mount}/`))
      const env = environmentOf(workload, objects, secretsOf(overlay))
      for (const name of ['FILE_DIRECTORY', 'UPLOAD_STAGING'])
        if (env[name] && workload.name === 'message') t.ok(isMounted(env[name]), `${workload.name}: ${name}`)
      if (workload.name === 'xmpp') t.ok(isMounted('/var/lib/im-xmpp'), 'the log of an XMPP server')
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
