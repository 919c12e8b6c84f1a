/** What the tests need besides npm packages: kustomize and the schemas of Kubernetes. Both are kept in the user's cache. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder } from '@im/dev/cache'
import { execa } from 'execa'

const kustomizeVersion = 'v5.7.1'
/** The package that carries the strict JSON schemas of Kubernetes 1.25 to 1.37. */
const schemaPackage = 'kubernetes-validate==1.37.0'
/** Older ones know neither components nor `labels`. */
const oldestKustomize = 5

const cache = cacheFolder(process.env)
const quiet = { stdin: 'ignore', reject: false } as const

/** The command that renders a folder: kubectl where it is new enough, else kustomize, which Go builds once (a minute). */
export async function kustomizeCommand(): Promise<string[]> {
  const folder = join(cache, `kustomize-${kustomizeVersion}`)
  const kustomize = join(folder, 'kustomize')
  if (existsSync(kustomize)) return [kustomize, 'build']
  const { stdout } = await execa('kubectl', ['version', '--client', '--output=json'], quiet)
  const version = /"kustomizeVersion": "v(\d+)/.exec(stdout ?? '')?.[1]
  if (Number(version) >= oldestKustomize) return ['kubectl', 'kustomize']
  const module = `sigs.k8s.io/kustomize/kustomize/v5@${kustomizeVersion}`
  await intoCache(folder, async (made) => {
    const built = await execa('go', ['install', module], { ...quiet, env: { GOBIN: made } })
    if (built.failed)
      throw new Error(
        `Rendering the manifests needs kubectl 1.27 or newer, or Go to install kustomize: ${lastLine(built.stderr, built.shortMessage)}`,
      )
  })
  return [kustomize, 'build']
}

/** The folder with the strict schemas of these versions of Kubernetes, in folders `v<version>-local-strict`. */
export async function schemaFolder(versions: readonly string[]): Promise<string> {
  const folder = join(cache, `kubernetes-schemas-${schemaPackage.split('==')[1]}-${versions.join('-')}`)
  await intoCache(folder, async (made) => {
    const args = [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--no-deps',
      '--only-binary',
      ':all:',
      '--dest',
      made,
      schemaPackage,
    ]
    const fetched = await execa('python3', args, quiet)
    if (fetched.failed)
      throw new Error(
        `The schemas of Kubernetes come with pip (python3 -m pip): ${lastLine(fetched.stderr, fetched.shortMessage)}`,
      )
    await execa('python3', ['-c', unpack, made, ...versions], { stdin: 'ignore' })
  })
  return join(folder, 'kubernetes_validate/kubernetes-json-schema')
}

const unpack = `
import glob, os, sys, zipfile
folder, versions = sys.argv[1], sys.argv[2:]
[wheel] = glob.glob(folder + '/*.whl')
with zipfile.ZipFile(wheel) as archive:
    wanted = [f'/v{version}-local-strict/' for version in versions]
    archive.extractall(folder, [name for name in archive.namelist() if any(part in name for part in wanted)])
os.remove(wheel)
`

/** Makes a folder of the cache once, whole or not at all; other runs may do the same at the same time. */
async function intoCache(folder: string, make: (folder: string) => Promise<void>): Promise<void> {
  if (existsSync(folder)) return
  await mkdir(cache, { recursive: true })
  const made = await mkdtemp(`${folder}.`)
  try {
    await make(made)
    await rename(made, folder)
  } catch (cause) {
    if (!existsSync(folder)) throw cause
  } finally {
    await rm(made, { recursive: true, force: true })
  }
}

const lastLine = (text: unknown, otherwise = 'it failed') =>
  String(text ?? '')
    .trim()
    .split('\n')
    .at(-1) || otherwise
