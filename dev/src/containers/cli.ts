/** `npm run images`: fetches or builds what compose.yaml needs, with this machine's Docker or an engine of ours. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { thisMachine } from '../machine/machine.ts'
import { streamReporter } from '../reporter.ts'
import { prepareContainers } from './prepare.ts'

const folder = await mkdtemp(join(tmpdir(), 'im-images-'))
try {
  const prepared = await prepareContainers(thisMachine(process.env, streamReporter()), { folder })
  if ('not' in prepared) {
    console.error(prepared.not)
    process.exitCode = 1
  } else {
    console.log(`All images are here, on ${prepared.what}.`)
    await prepared.close()
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
