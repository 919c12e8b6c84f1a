import { test } from 'tap'
import { overlays, readObjects, render } from './manifests.ts'
import { kubernetesVersions, strictSchemas } from './schemas.ts'

for (const version of kubernetesVersions)
  test(`every overlay is valid for Kubernetes ${version}, with no unknown field`, async (t) => {
    const problems = await strictSchemas(version)
    for (const overlay of overlays) {
      const objects = await render(`overlays/${overlay}`)
      t.strictSame((await Promise.all(objects.map(problems))).flat(), [], overlay)
    }
    for (const example of ['backup', 'restore', 'ingress']) {
      const objects = await readObjects(`examples/${example}.yaml`)
      t.strictSame((await Promise.all(objects.map(problems))).flat(), [], example)
    }
    const [mistyped] = (await render('overlays/small')).filter(({ kind }) => kind === 'Deployment')
    mistyped!.spec.template.spec.containers[0].readinesProbe = {}
    t.match(await problems(mistyped!), [/must NOT have .*\(readinesProbe\)/])
  })
