/**
 * The process in which services run beside the launcher: `node run-services.ts gateway=8092 user=8101 …`, each with its
 * port. Each is started by the function that its own main.ts calls. Why a start failed is one line of level fatal in the
 * log, which the launcher shows.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ConfigError, createLogger, type RunningService, runProcess } from '@im/service-kit'
import { repositoryRoot } from './machine/machine.ts'
import { requirePorts } from './machine/ports.ts'
import { operationsPort, type ServiceName, servicePort } from './services.ts'

const wanted = process.argv.slice(2).map((argument) => argument.split('=') as [ServiceName, string])

async function startService(name: ServiceName, env: NodeJS.ProcessEnv): Promise<RunningService> {
  const file = join(repositoryRoot, 'services', name, 'src/start.ts')
  const { start } = (await import(pathToFileURL(file).href)) as {
    start(env: NodeJS.ProcessEnv): Promise<RunningService>
  }
  return start(env)
}

async function startAll(env: NodeJS.ProcessEnv): Promise<RunningService> {
  const results = await Promise.allSettled(wanted.map(([name, port]) => startService(name, { ...env, PORT: port })))
  const running = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failures = await Promise.all(
    results.flatMap((result, index) => (result.status === 'rejected' ? [explain(wanted[index]!, result.reason)] : [])),
  )
  if (failures.length > 0) {
    await closeInOrder(running)
    createLogger({ service: 'services', level: 'fatal', format: 'json' }).fatal(
      [...new Set(failures.flat())].join('\n'),
    )
    throw results.find((result) => result.status === 'rejected')?.reason
  }
  return { url: running[0]?.url ?? '', close: () => closeInOrder(running) }
}

/** The first takes the requests of the apps (the gateway): when it has ended, the others get no more work. */
async function closeInOrder([first, ...others]: RunningService[]): Promise<void> {
  await first?.close()
  await Promise.all(others.map((service) => service.close()))
}

async function explain([name, port]: [ServiceName, string], cause: unknown): Promise<string[]> {
  const { code, port: taken } = cause as { code?: string; port?: number }
  if (code === 'EADDRINUSE' && taken !== undefined) {
    const mine = taken === Number(port) ? servicePort(name) : operationsPort
    const complaint = await requirePorts([{ ...mine, port: taken }]).catch((error: Error) => error.message)
    if (complaint) return [complaint]
  }
  if (cause instanceof ConfigError) return cause.problems
  return [`The ${name} service does not start: ${cause instanceof Error ? cause.message : cause}`]
}

await runProcess(startAll)
