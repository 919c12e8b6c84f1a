import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, matchesGlob, relative, resolve, sep } from 'node:path'
import { repositoryRoot } from './machine/machine.ts'

/**
 * They judge what something costs, how long answers take while others attack or processes are replaced, begin with 100,000
 * users, or kill the processes of a whole fleet: a machine that does other things beside them would be judged with them. A run
 * without paths leaves them to `npm run test:load`.
 */
const loadTests = new Set([
  'libs/service-kit/test/decode-speed.test.ts',
  'services/user/test/catch-up.test.ts',
  'deploy/xmpp/test/load.test.ts',
  ...['hostile-input', 'hostile-load', 'noon', 'torture'].map((name) => `test-e2e/test/${name}.test.ts`),
  ...['rebuilt', 'resilience', 'room-events-kills', 'room-kills'].map((name) => `test-e2e/test/${name}.test.ts`),
])
export const isLoadTest = (file: string) => loadTests.has(file)

/** They wait for most of their time: beside the stacks of journeys at the beginning they leave no CPU idle at the end. */
export const patient = [
  'deploy/xmpp/test/{limits,durability}.test.ts',
  'libs/service-kit/test/{edge-contract,mongo-away,nats-away,redis-away}.test.ts',
  'services/message/test/{decide,mailbox,replicas,rooms-replicas,search}.test.ts',
  'services/gateway/test/{stores-away,streams}.test.ts',
  'services/user/test/stores-away.test.ts',
  'services/push/test/{broadcasts,slow-provider}.test.ts',
]

/** What takes long comes first. */
const patterns = [
  ...patient,
  'test-e2e/test/{mongodb-conformance,push-journey}.test.ts',
  'test-e2e/test/**/*.test.ts',
  'bench/test/**/*.test.ts',
  'deploy/*/test/**/*.test.ts',
  'dev/test/**/*.test.ts',
  'libs/*/test/**/*.test.ts',
  'services/*/test/**/*.test.ts',
]

/** Test files of the workspace, as paths below its root, in the order in which they are begun; with paths: those at or below one of them. */
export function testFiles(paths: string[], root = repositoryRoot): string[] {
  const found = patterns.flatMap((pattern) =>
    globSync(pattern, { cwd: root, exclude: (name) => name === 'node_modules' }).sort(),
  )
  const files = [...new Set(found)]
  const wanted = paths.map((path) => relative(root, resolve(root, path)))
  return files.filter((file) => wanted.length === 0 || wanted.some((path) => isBelow(file, path)))
}

const isBelow = (file: string, path: string) => path === '' || file === path || file.startsWith(path + sep)

/** What a test file takes of the machine: `stack` runs all services, `alone` bears nothing beside it. */
export type Load = 'file' | 'stack' | 'alone'

export function loadOf(file: string): Load {
  if (isLoadTest(file)) return 'alone'
  return file.startsWith('test-e2e/') ? 'stack' : 'file'
}

/** Short files of a service or library share a process, so many at most. */
const mostTogether = 4
const areShort = ['services/*/test/**/*.test.ts', 'libs/*/test/**/*.test.ts']

/** Asks for its own place in a way that a bundle can't answer. */
export const placeBound = /import\.meta\.(resolve|main)\b/

/** Files that change, or measure, the process they run in. */
const ownProcess = /\btap\.jobs\b|\bprocess\.(on|cpuUsage|memoryUsage)\b/

/** The files in the same order, and together those that share a process. */
export function together(files: readonly string[], root = repositoryRoot): string[][] {
  const groups: string[][] = []
  for (const file of files) {
    const last = groups.at(-1)
    const [before] = last ?? []
    const fits = before && dirname(before) === dirname(file) && last!.length < mostTogether
    if (fits && mayShare(before, root) && mayShare(file, root)) last!.push(file)
    else groups.push([file])
  }
  return groups
}

function mayShare(file: string, root: string): boolean {
  const isAmong = (patterns: readonly string[]) => patterns.some((pattern) => matchesGlob(file, pattern))
  if (!isAmong(areShort) || isAmong(patient) || loadOf(file) !== 'file') return false
  const text = readFileSync(join(root, file), 'utf8')
  return !ownProcess.test(text) && !placeBound.test(text)
}

/** `services/user/test/{keys,names}.test.ts` for two files that share a process. */
export function titleOf(files: readonly string[]): string {
  const [first = ''] = files
  if (files.length === 1) return first
  const suffix = first.slice(first.lastIndexOf('.test.'))
  return `${dirname(first)}/{${files.map((file) => basename(file, suffix)).join()}}${suffix}`
}

/** The longest time (s) of a test file. */
export function limitOf(file: string): number {
  return longFiles[file] ?? 150
}

const longFiles: Record<string, number> = {
  // Attacks last as long as their answers can be measured.
  'test-e2e/test/hostile-load.test.ts': 300,
  // So many calls that a busy machine needs longer.
  'test-e2e/test/hostile-input.test.ts': 300,
  'test-e2e/test/torture.test.ts': 240,
  'services/user/test/catch-up.test.ts': 300,
}
