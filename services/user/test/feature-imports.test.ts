import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { test } from 'tap'

const source = join(import.meta.dirname, '../src')

/** For each feature, the features it imports from. */
function importsOfFeatures(): Map<string, Set<string>> {
  const features = new Map<string, Set<string>>()
  for (const file of globSync('*/*.ts', { cwd: source })) {
    const feature = basename(dirname(file))
    const imported = features.get(feature) ?? new Set<string>()
    for (const [, other] of readFileSync(join(source, file), 'utf8').matchAll(/from '\.\.\/([a-z-]+)\//g))
      imported.add(other ?? '')
    features.set(feature, imported)
  }
  return features
}

test('features import each other in one direction', async (t) => {
  const left = importsOfFeatures()
  t.ok(left.size > 8)
  for (;;) {
    const lowest = [...left].filter(([, imported]) => ![...imported].some((other) => left.has(other)))
    if (!lowest.length) break
    for (const [feature] of lowest) left.delete(feature)
  }
  t.strictSame([...left.keys()], [], 'each is in a circle or imports from one')
})
