/**
 * Runs services in one process beside the launcher: `node run-services.ts gateway=8092 user=8101 …`, each with its port. Each is
 * started by the function that its main.ts calls. When a start fails, the reason is logged as one line of level fatal, which the
 * launcher shows.
 *
 * It loads while the servers start: the launcher ends its standard input when they answer.
 */
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { pathToFileURL } from 'node:url'
import { ConfigError, createLogger, runProcess, type Service } from '@im/service-kit'
import { repositoryRoot } from './machine/machine.ts'
import { requirePorts } from './machine/ports.ts'
import { operationsPort, type ServiceName, servicePort } from './services.ts'

const wanted = process.argv.slice(2).map((argument) => argument.split('=') as [ServiceName, string])

async function loadService(name: ServiceName): Promise<Service> {
  const file = join(repositoryRoot, 'services', name, 'src/service.ts')
  const { service } = (await import(pathToFileURL(file).href)) as { service: Service }
  return service
}

const services = await Promise.all(wanted.map(async ([name, port]) => ({ service: await loadService(name), port })))

async function startAll(env: NodeJS.ProcessEnv): Promise<{ failed: Promise<Error>; close(): Promise<void> }> {
  const results = await Promise.allSettled(services.map(({ service, port }) => service.start({ ...env, PORT: port })))
  const running = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failures = await Promise.all(
    results.flatMap((result, index) => (result.status === 'rejected' ? [explain(wanted[index]!, result.reason)] : [])),
  )
  if (failures.length > 0) {
    await closeInOrder(running)
    tellFailure(failures.flat())
    throw results.find((result) => result.status === 'rejected')?.reason
  }
  return { failed: Promise.race(running.map(({ failed }) => failed)), close: () => closeInOrder(running) }
}

function tellFailure(problems: string[]): void {
  createLogger({ service: 'services', level: 'fatal', format: 'json' }).fatal([...new Set(problems)].join('\n'))
}

/** Closes the first one before the others. It is the gateway, so the others then get no more work. */
async function closeInOrder([first, ...others]: { close(): Promise<void> }[]): Promise<void> {
  await first?.close()
  await Promise.all(others.map((service) => service.close()))
}

/** The longest times of the services. A setting that is wrong for several is reported once. */
function readConfigs(env: NodeJS.ProcessEnv): { drainSeconds: number; shutdownSeconds: number } {
  const problems: string[] = []
  const configs = services.flatMap(({ service, port }) => {
    try {
      return [service.readConfig({ ...env, PORT: port })]
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(...error.problems)
      return []
    }
  })
  if (problems.length) {
    tellFailure(problems)
    throw new ConfigError([...new Set(problems)])
  }
  const longest = (name: 'drainSeconds' | 'shutdownSeconds') => Math.max(...configs.map((config) => config[name]))
  return { drainSeconds: longest('drainSeconds'), shutdownSeconds: longest('shutdownSeconds') }
}

async function explain([name, port]: [ServiceName, string], cause: unknown): Promise<string[]> {
  const { code, port: taken } = cause as { code?: string; port?: number }
  if (code === 'EADDRINUSE' && taken !== undefined) {
    const mine = taken === Number(port) ? servicePort(name) : operationsPort
    const complaint = await requirePorts([{ ...mine, port: taken }]).catch((error: Error) => error.message)
    if (complaint) return [complaint]
  }
  return [`The ${name} service does not start: ${cause instanceof Error ? cause.message : cause}`]
}

await finished(process.stdin.resume())
await runProcess({ readConfig: readConfigs, start: startAll })
