import closeWithGrace from 'close-with-grace'
import { ConfigError } from './config.ts'
import { inSources } from './source-places.ts'
import { StartError } from './start-error.ts'

/** A service, or several that run in one process. */
export interface Startable {
  readConfig(env: NodeJS.ProcessEnv): { drainSeconds: number; shutdownSeconds: number }
  start(env: NodeJS.ProcessEnv): Promise<Running>
}

interface Running {
  /** Resolves with the reason when it can't go on. */
  failed?: Promise<Error>
  close(): Promise<void>
}

/** Starts a service, and ends it gracefully on SIGTERM, SIGINT or an uncaught error. A deadline forces the end. */
export async function runProcess(service: Startable, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  let running: Running | undefined
  try {
    const { drainSeconds, shutdownSeconds } = service.readConfig(env)
    closeWithGrace({ delay: (drainSeconds + shutdownSeconds) * 1000 }, async ({ err }) => {
      if (err) console.error(withPlaces(err))
      await running?.close()
    })
    running = await service.start(env)
    // Nobody catches it, so the process ends as it does by any other fault: gracefully, with exit code 1.
    void running.failed?.then((reason) => {
      throw reason
    })
  } catch (error) {
    console.error(isForOperators(error) ? error.message : withPlaces(error))
    process.exit(1)
  }
}

const isForOperators = (error: unknown): error is Error => error instanceof ConfigError || error instanceof StartError

function withPlaces(error: unknown): unknown {
  if (error instanceof Error && error.stack) error.stack = inSources(error.stack)
  // Of an address that is none, with the password in it.
  if (error instanceof Error && 'input' in error) delete error.input
  return error
}
