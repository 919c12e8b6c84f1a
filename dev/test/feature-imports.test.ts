import { globSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'

const services = join(import.meta.dirname, '../../services')

/** For each feature of a service, the others it imports from. */
function importsOfFeatures(service: string): Map<string, Set<string>> {
  const features = new Map<string, Set<string>>()
  const source = join(services, service, 'src')
  for (const file of globSync('*/**/*.ts', { cwd: source })) {
    const [feature = ''] = file.split('/')
    const imported = features.get(feature) ?? new Set<string>()
    for (const [, other = ''] of readFileSync(join(source, file), 'utf8').matchAll(/from '(?:\.\.\/)+([a-z-]+)\//g))
      if (other !== feature) imported.add(other)
    features.set(feature, imported)
  }
  return features
}

/** Takes away who imports from nobody that is left, and whom nobody imports from that is left, as long as there is one. */
function circleIn(left: Map<string, Set<string>>): string[] {
  for (;;) {
    const isImported = (feature: string) => [...left.values()].some((imported) => imported.has(feature))
    const outside = [...left].filter(
      ([feature, imported]) => ![...imported].some((other) => left.has(other)) || !isImported(feature),
    )
    if (!outside.length) return [...left.keys()].sort()
    for (const [feature] of outside) left.delete(feature)
  }
}

for (const service of readdirSync(services))
  test(`features of ${service} import each other in one direction`, async (t) => {
    const features = importsOfFeatures(service)
    t.ok(features.size > 2)
    t.strictSame(circleIn(features), [])
  })
