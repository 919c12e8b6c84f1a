import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Machine } from '../machine/machine.ts'
import type { NotHere } from '../servers/server.ts'
import { type Engine, obtainEngine } from './engine.ts'
import { buildOwnImages, obtainBaseImages } from './images.ts'

export interface ContainerRun {
  /** The environment of tests whose servers are containers. */
  env: Record<string, string>
  what: string
  /** Removes what tests left, and ends the engine if it is ours. */
  close(): Promise<void>
}

/** Prepares an engine with all images for tests, or says why there is none. Throws when our own images can't be built. */
export async function prepareContainers(
  machine: Machine,
  options: { folder: string; abort?: AbortSignal },
): Promise<ContainerRun | NotHere> {
  const engine = await obtainEngine(machine, options.folder)
  if ('not' in engine) return engine
  try {
    const missing = await obtainBaseImages(machine, engine.docker, join(options.folder, 'images'))
    options.abort?.throwIfAborted()
    if (!missing) {
      await buildOwnImages(machine, engine.docker)
      return containerRun(engine)
    }
    await engine.close()
    return missing
  } catch (cause) {
    await engine.close()
    throw cause
  }
}

function containerRun(engine: Engine): ContainerRun {
  const name = `im-e2e-${randomBytes(4).toString('hex')}`
  return {
    env: {
      ...engine.env,
      E2E_SERVERS: 'containers',
      // Part of all names, so that whatever a test leaves is found; testcontainers' own way needs one more image.
      E2E_CONTAINERS: name,
      TESTCONTAINERS_RYUK_DISABLED: 'true',
    },
    what: engine.what,
    async close() {
      await engine.removeAll(name)
      await engine.close()
    },
  }
}
