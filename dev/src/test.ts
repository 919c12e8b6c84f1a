/** `npm test` and `npm run test:load`: servers on free ports, type check, lint, tests of the workspace. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { execa } from 'execa'
import { bundle } from './bundles/bundle.ts'
import { inSources } from './bundles/in-sources.ts'
import { type ContainerRun, prepareContainers } from './containers/prepare.ts'
import { repositoryRoot, thisMachine } from './machine/machine.ts'
import { stopLeftovers } from './machine/process-records.ts'
import { streamReporter } from './reporter.ts'
import { type FileOutcome, runTestFiles } from './run-test-files.ts'
import { obtainServers, startServers } from './servers/index.ts'
import { obtainSlixmpp } from './servers/slixmpp.ts'
import { isLoadTest, testFiles, together } from './test-files.ts'
import { add, type Outcome } from './test-report.ts'

const help = `npm test [-- [--no-checks] <path>…]
npm run test:load

Starts MongoDB, Redis and NATS on free ports with data in a temporary folder, then runs the type check, the lint and the
tests of all packages but those of load, which test:load runs one after the other, with nothing beside them. With paths: only
the test files at or below them, those of load too, without type check and lint.
The last line is "N passed, N failed"; a failed type check or lint counts as one failed.

Where there is a Docker engine, or root can install and start Debian's, the journeys then run once more on the containers
of deploy/docker. E2E_SERVERS=containers with paths does so for the files that are named: journeys of test-e2e on a whole
fleet, others with the stores in containers.

Servers that run already: MONGODB_URL, REDIS_URL, NATS_URL.`

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'no-checks': { type: 'boolean', default: false },
    load: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

/** Without it one test fails, and no other. */
const obtainS3 = (obtain: (name: 's3') => Promise<void>) =>
  obtain('s3').catch((error: Error) => report.info(error.message))

const isAboutS3 = (file: string) => file.endsWith('s3.test.ts')
const isAboutSlixmpp = (file: string) => file.endsWith('slixmpp.test.ts')

/** Journeys that also run on containers: those that stop containers, or lead out of them. Six minutes at most. */
const containerTests = ['chat-journey', 'push-journey', 'redis-away', 'resilience', 'security'].map(
  (name) => `test-e2e/test/${name}.test.ts`,
)

/** A longer run is ended, before a CI would end it without a result. */
const runDeadlineMs = 60 * 60_000
const report = streamReporter(process.stdout)
const interrupted = new AbortController()
/** What is told of each check and test file that failed, to be read at the end. */
const failures: string[][] = []
const mostLinesOfFailure = 60

async function check(title: string, command: string, args: string[]): Promise<boolean> {
  const began = Date.now()
  const result = await execa(join(repositoryRoot, 'node_modules/.bin', command), args, {
    cwd: repositoryRoot,
    all: true,
    reject: false,
    cancelSignal: interrupted.signal,
    stdin: 'ignore',
  })
  const passed = result.exitCode === 0
  const line = `${passed ? '✔' : '✖'} ${title} (${((Date.now() - began) / 1000).toFixed(1)} s)`
  console.log(line)
  if (!passed) failures.push([...(result.all ?? '').split('\n'), line])
  return passed
}

/** Most files wait for half of their time, for events, deadlines and servers that come back: two stacks leave room for a file. */
const filesBesideEachOther = 2 * availableParallelism() + 1

/** Failed files that run once more: more than so many are no accident. */
const mostRepeated = 12

/** From so many files on bundling them takes less than it spares; tests of load start a hundred processes. */
const worthBundling = 12

/** The environment in which many files load quickly; see `bundle`. Without it they load from their sources. */
async function bundled(files: string[]): Promise<NodeJS.ProcessEnv> {
  if (files.length < worthBundling && !options.load) return {}
  return await bundle(files, repositoryRoot, bundleFolder()).catch((error: Error) => {
    report.info(`Tests run from their sources: ${error.message}`)
    return {}
  })
}

/**
 * Runs test files, and those that failed once more, alone and from their sources: deadlines of a few seconds can be missed
 * beside others on a busy machine. What fails alone, too, has failed; what passes then is named, and what kept a file that hung is told.
 * Short files share processes in a run of many, and run alone when one of them has failed.
 */
async function runTests(files: string[], env: NodeJS.ProcessEnv, quick: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  // A whole fleet of containers is enough for two cores.
  const groups = quick['IM_BUNDLES'] ? together(files) : alone(files)
  const outcomes = await runOnce(groups, { ...env, ...quick }, env['E2E_SERVERS'] ? 1 : filesBesideEachOther)
  const failed = [...outcomes].filter(([, { failed }]) => failed > 0)
  if (failed.length > 0 && failed.length <= mostRepeated && !interrupted.signal.aborted) {
    console.log('\nOnce more, alone:')
    for (const [name] of failed) outcomes.delete(name)
    for (const [file, outcome] of await runOnce(alone(failed.flatMap(([, { files }]) => files)), env, 1)) {
      if (outcome.failed === 0) console.log(`! ${file} failed beside others and passed alone`)
      outcomes.set(file, outcome)
    }
  }
  const total: Outcome = { passed: 0, failed: 0, skipped: 0 }
  for (const outcome of outcomes.values()) add(total, outcome)
  for (const { failed, lines } of outcomes.values()) if (failed > 0) failures.push(lines.map(readable))
  return total
}

const alone = (files: readonly string[]) => files.map((file) => [file])

/** In the run's temporary folder. */
const bundleFolder = () => join(tmpdir(), 'bundles')
const readable = (line: string) => inSources(line, repositoryRoot, bundleFolder())

async function runOnce(
  groups: string[][],
  env: NodeJS.ProcessEnv,
  capacity: number,
): Promise<Map<string, FileOutcome>> {
  console.log(`\n${groups.flat().length} test files${env['E2E_SERVERS'] ? ` on ${env['E2E_SERVERS']}` : ''}`)
  return await runTestFiles(groups, {
    root: repositoryRoot,
    env: { ...process.env, ...env },
    capacity,
    signal: interrupted.signal,
    print: (line) => console.log(readable(line)),
  })
}

/** Runs tests on containers where that is possible; otherwise prints why not. */
async function runOnContainers(files: string[], folder: string): Promise<Outcome> {
  const none: Outcome = { passed: 0, failed: 0, skipped: 0 }
  let containers: ContainerRun | undefined
  try {
    const machine = thisMachine(process.env, report)
    if (files.some(isAboutSlixmpp)) await obtainSlixmpp(machine)
    const prepared = await prepareContainers(machine, { folder, abort: interrupted.signal })
    if ('not' in prepared) {
      console.log(`\nNothing was tried on containers: ${prepared.not}`)
      return process.env['E2E_SERVERS'] === 'containers' ? { ...none, failed: 1 } : none
    }
    containers = prepared
    console.log(`\nContainers: ${containers.what}`)
    return await testOnContainers(files, containers)
  } finally {
    await containers?.close()
  }
}

/** Journeys start whole fleets of containers; tests of services share one container for each store. */
async function testOnContainers(files: string[], { env }: ContainerRun): Promise<Outcome> {
  const isJourney = (file: string) => file.startsWith('test-e2e/')
  const others = files.filter((file) => !isJourney(file))
  const outcome: Outcome = { passed: 0, failed: 0, skipped: 0 }
  if (others.length > 0) {
    // testcontainers finds the engine by the environment of this process.
    Object.assign(process.env, env)
    const { startStores } = await import('./containers/stores.ts')
    const stores = await startStores(`${env['E2E_CONTAINERS']}-stores`)
    try {
      add(outcome, await runTests(others, stores.env))
    } finally {
      await stores.close()
    }
  }
  const journeys = files.filter(isJourney)
  if (journeys.length > 0) add(outcome, await runTests(journeys, env))
  return outcome
}

/** Stops stacks that tests started in the temporary folder and did not stop. */
async function stopStrays(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const records = entries.filter((entry) => entry.isDirectory() && entry.name === 'run')
  for (const { parentPath, name } of records) await stopLeftovers(join(parentPath, name), report)
}

async function main(): Promise<number> {
  const isWhole = positionals.length === 0 && !options.load
  const files = testFiles(positionals).filter((file) => positionals.length > 0 || isLoadTest(file) === options.load)
  const withChecks = isWhole && !options['no-checks']
  const onContainers = process.env['E2E_SERVERS'] === 'containers'
  const folder = await mkdtemp(join(tmpdir(), 'im-test-'))
  // Tests get a temporary folder of their own, which is removed at the end.
  process.env['TMPDIR'] = folder
  const outcome: Outcome = { passed: 0, failed: 0, skipped: 0 }
  let stopServers = async () => {}
  let broken: string | undefined
  try {
    if (onContainers) add(outcome, await runOnContainers(files, join(folder, 'containers')))
    else {
      const launching = startServers({
        ...{ dataDir: join(folder, 'servers'), ports: 'free', env: process.env, report },
        // Tests that kill a server start their own.
        areVolatile: true,
      })
      // Tests of these start their own.
      const obtain = (name: 'prosody' | 's3') => obtainServers([name], { dataDir: folder, env: process.env, report })
      const obtaining = Promise.all([
        obtain('prosody'),
        files.some(isAboutS3) ? obtainS3(obtain) : undefined,
        files.some(isAboutSlixmpp) ? obtainSlixmpp(thisMachine(process.env, report)) : undefined,
      ])
      // Beside the tests.
      const checks = withChecks ? runChecks() : Promise.resolve(0)
      const [servers, , quick] = await all([launching, obtaining, bundled(files)] as const)
      stopServers = servers.close
      process.env['IM_TEST_OWN_SERVERS'] = servers.started.join()
      add(outcome, await runTests(files, servers.env, quick))
      outcome.failed += await checks
      if (isWhole && !interrupted.signal.aborted)
        add(outcome, await runOnContainers(testFiles(containerTests), join(folder, 'containers')))
    }
  } catch (cause) {
    broken = interrupted.signal.aborted ? 'interrupted' : (cause as Error).message
    outcome.failed += 1
  } finally {
    await stopServers()
    await stopStrays(folder)
  }
  if (interrupted.signal.aborted) broken = 'interrupted'
  tellFailures()
  if (broken) console.log(`\n✖ ${broken}`)
  else if (outcome.passed + outcome.failed === 0) console.log('\n✖ no test ran')
  const good = !broken && outcome.failed === 0 && outcome.passed > 0
  if (good) await rm(folder, { recursive: true, force: true })
  else console.log(`Logs of the servers: ${folder}`)
  if (outcome.skipped > 0) console.log(`${outcome.skipped} skipped`)
  console.log(`${outcome.passed} passed, ${outcome.failed} failed`)
  return good ? 0 : 1
}

/** Runs types, lint and format checks. Returns how many failed. */
async function runChecks(): Promise<number> {
  const types = await check('type check', 'tsc', ['--noEmit'])
  const lint = await check('lint', 'biome', ['ci', '--colors=off'])
  return [types, lint].filter((passed) => !passed).length
}

function tellFailures(): void {
  if (failures.length > 0) console.log('\nFailed:')
  for (const lines of failures) {
    const left = lines.length - mostLinesOfFailure
    console.log(['', ...(left > 0 ? [`… ${left} lines above`] : []), ...lines.slice(-mostLinesOfFailure)].join('\n'))
  }
}

/** Like Promise.all, but nothing is left running when one part fails. */
async function all<T extends readonly Promise<unknown>[]>(parts: T): Promise<{ [K in keyof T]: Awaited<T[K]> }> {
  const results = await Promise.allSettled(parts)
  const failure = results.find((result) => result.status === 'rejected')
  if (!failure) return results.map((result) => (result as PromiseFulfilledResult<unknown>).value) as never
  const [servers] = results
  if (servers?.status === 'fulfilled') await (servers.value as { close(): Promise<void> }).close()
  throw failure.reason
}

function interrupt(): void {
  if (interrupted.signal.aborted) process.exit(130)
  interrupted.abort()
}

if (options.help) console.log(help)
else {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt)
  process.once('disconnect', interrupt)
  setTimeout(interrupt, runDeadlineMs).unref()
  const code = await main()
  process.exit(code)
}
