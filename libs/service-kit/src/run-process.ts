import closeWithGrace from 'close-with-grace'
import { ConfigError } from './config.ts'
import type { RunningService } from './service.ts'

/** What a service's main.ts does: start, and end gracefully on SIGTERM, SIGINT or a fault; a deadline forces the end. */
export async function runProcess(
  start: (env: NodeJS.ProcessEnv) => Promise<RunningService>,
  env: NodeJS.ProcessEnv = process.env,
): Promise<void> {
  let running: RunningService | undefined
  closeWithGrace({ delay: Number(env['SHUTDOWN_SECONDS'] ?? 15) * 1000 }, async ({ err }) => {
    if (err) console.error(err)
    await running?.close()
  })
  try {
    running = await start(env)
  } catch (error) {
    console.error(error instanceof ConfigError ? error.message : error)
    process.exit(1)
  }
}
