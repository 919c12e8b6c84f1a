import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { type KubernetesObject, titleOf } from './manifests.ts'
import { schemaFolder } from './tools.ts'

/** The oldest version that the manifests are for, and the newest that there are schemas of. */
export const kubernetesVersions = ['1.30.0', '1.37.0'] as const

export type Validator = (object: KubernetesObject) => Promise<string[]>

/** Tells everything that a version of Kubernetes would refuse, or ignore, in an object. */
export async function strictSchemas(version: string): Promise<Validator> {
  const folder = join(await schemaFolder(kubernetesVersions), `v${version}-local-strict`)
  const load = async (name: string) => JSON.parse(await readFile(join(folder, name), 'utf8'))
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false })
  ajv.addSchema(await load('_definitions.json'))
  return async (object) => {
    const { apiVersion, kind } = object
    const group = apiVersion.replace(/\.[^/]*\//, '/').replace('/', '-')
    const schema = await load(`${kind.toLowerCase()}-${group}.json`)
    const validate = ajv.getSchema(schema.$id) ?? ajv.compile(schema)
    if (validate(object)) return []
    return (validate.errors ?? []).map(({ instancePath, message, params }) => {
      const detail = 'additionalProperty' in params ? ` (${params['additionalProperty']})` : ''
      return `${titleOf(object)}${instancePath}: ${message}${detail}`
    })
  }
}
