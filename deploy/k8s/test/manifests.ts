/** The objects of an overlay, as `kubectl apply -k` would send them, and what their pods get. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { parseAllDocuments } from 'yaml'
import { kustomizeCommand } from './tools.ts'

export const here = join(import.meta.dirname, '..')
export const overlays = ['production', 'small', 'offline'] as const

export type Labels = Record<string, string>

export interface Selector {
  matchLabels?: Labels
  matchExpressions?: { key: string; operator: 'In' | 'NotIn' | 'Exists'; values?: string[] }[]
}

interface Probe {
  httpGet?: { port: string | number; path: string }
  tcpSocket?: { port: string | number }
  exec?: object
}

export interface Container {
  name: string
  image: string
  args?: string[]
  env?: {
    name: string
    value?: string
    valueFrom?: {
      secretKeyRef?: { name: string; key: string; optional?: boolean }
      configMapKeyRef?: { name: string; key: string }
      fieldRef?: { fieldPath: string }
    }
  }[]
  envFrom?: { configMapRef?: { name: string }; secretRef?: object }[]
  ports?: { name: string; containerPort: number }[]
  volumeMounts?: { name: string; mountPath: string }[]
  securityContext?: Record<string, unknown>
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> }
  startupProbe?: Probe
  readinessProbe?: Probe
  livenessProbe?: Probe
}

export interface PodSpec {
  containers: Container[]
  initContainers?: Container[]
  volumes?: { name: string; configMap?: { name: string }; secret?: { secretName: string } }[]
  securityContext?: Record<string, unknown>
  automountServiceAccountToken?: boolean
  enableServiceLinks?: boolean
  terminationGracePeriodSeconds?: number
  topologySpreadConstraints?: { labelSelector: Selector }[]
}

export interface KubernetesObject {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Labels }
  // biome-ignore lint/suspicious/noExplicitAny: its shape follows from the kind, and the schemas check it.
  spec: any
  data?: Record<string, string>
}

/** A kind of pod: the template of a Deployment or StatefulSet. */
export interface Workload {
  name: string
  object: KubernetesObject
  labels: Labels
  pod: PodSpec
  container: Container
}

const rendered = new Map<string, Promise<string>>()

export async function render(folder: string): Promise<KubernetesObject[]> {
  const text = rendered.get(folder) ?? kustomize(folder)
  rendered.set(folder, text)
  return parse(await text)
}

async function kustomize(folder: string): Promise<string> {
  const [command = '', ...args] = await kustomizeCommand()
  return (await execa(command, [...args, join(here, folder)], { stdin: 'ignore' })).stdout
}

/** The objects of a file that is not rendered. */
export const readObjects = async (path: string): Promise<KubernetesObject[]> =>
  parse(await readFile(join(here, path), 'utf8'))

/** The jobs of the examples that make backups and restore them, as workloads. */
export async function readJobs(): Promise<KubernetesObject[]> {
  const objects = [...(await readObjects('examples/backup.yaml')), ...(await readObjects('examples/restore.yaml'))]
  return objects.flatMap((object) => {
    const job = { CronJob: object.spec.jobTemplate, Job: object }[object.kind]
    return job ? [{ ...object, kind: 'Deployment', spec: job.spec }] : []
  })
}

const parse = (text: string) => parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject)

export const titleOf = ({ kind, metadata }: KubernetesObject) => `${kind} ${metadata.name}`

export function workloadsOf(objects: readonly KubernetesObject[]): Workload[] {
  return objects.flatMap((object) => {
    if (object.kind !== 'Deployment' && object.kind !== 'StatefulSet') return []
    const { metadata, spec: pod } = object.spec.template as { metadata: { labels: Labels }; spec: PodSpec }
    const [container] = pod.containers
    if (!container) throw new Error(`${titleOf(object)} has no container`)
    return [{ name: object.metadata.name, object, labels: metadata.labels, pod, container }]
  })
}

/** Whether a selector chooses a pod with these labels. */
export function selects({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Labels): boolean {
  const holds = ({ key, operator, values = [] }: NonNullable<Selector['matchExpressions']>[number]) => {
    const value = labels[key]
    if (operator === 'Exists') return value !== undefined
    const isIn = value !== undefined && values.includes(value)
    return operator === 'In' ? isIn : !isIn
  }
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value) && matchExpressions.every(holds)
}

/** The environment of a container, as the kubelet makes it. Throws where a reference leads nowhere. */
export function environmentOf(
  { container, object }: Workload,
  objects: readonly KubernetesObject[],
  secrets: Record<string, string>,
): Record<string, string> {
  const maps = new Map(objects.filter(({ kind }) => kind === 'ConfigMap').map((map) => [map.metadata.name, map.data]))
  const missing = (what: string) => new Error(`${titleOf(object)}: ${what} is not there`)
  const env: Record<string, string> = {}
  for (const { configMapRef } of container.envFrom ?? []) {
    const data = configMapRef && maps.get(configMapRef.name)
    if (!data) throw missing(`ConfigMap ${configMapRef?.name}`)
    Object.assign(env, data)
  }
  for (const { name, value, valueFrom = {} } of container.env ?? []) {
    const { secretKeyRef, configMapKeyRef, fieldRef } = valueFrom
    if (secretKeyRef) {
      const secret = secretKeyRef.name === 'im-secrets' ? secrets[secretKeyRef.key] : undefined
      if (secret !== undefined) env[name] = secret
      else if (!secretKeyRef.optional) throw missing(`key ${secretKeyRef.key} of Secret ${secretKeyRef.name}`)
    } else if (configMapKeyRef) {
      const found = maps.get(configMapKeyRef.name)?.[configMapKeyRef.key]
      if (found === undefined) throw missing(`key ${configMapKeyRef.key} of ConfigMap ${configMapKeyRef.name}`)
      env[name] = found
    } else if (fieldRef) env[name] = `${object.metadata.name}-0`
    else env[name] = (value ?? '').replace(/\$\((\w+)\)/g, (whole, key: string) => env[key] ?? whole)
  }
  return env
}
