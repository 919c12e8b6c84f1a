import { access, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import lockfile from 'proper-lockfile'
import type { Machine } from '../machine/machine.ts'
import { firstLine, type NotHere } from './server.ts'

const version = '0.5.3-beta.196'
/** Crates in its lock file that Linux builds: for the progress line only. */
const crates = 210
const oldestRust = [1, 90] as const

interface Found {
  path: string
  version: string
  why: string
}

/** The stand-in for MongoDB where no mongod can be had: on PATH, in the cache, or built into the cache by cargo. */
export async function obtainSecantusdb(machine: Machine, options: { build: boolean }): Promise<Found | NotHere> {
  const onPath = await machine.find('secantusd-rs')
  if (onPath) return { path: onPath, version: 'on PATH', why: 'found on PATH; no mongod, no Docker, no download' }
  const folder = join(machine.cache, `secantusdb-${version}`)
  const path = join(folder, 'bin/secantusd-rs')
  if (await exists(path)) return { path, version, why: 'built by an earlier run; no mongod, no Docker, no download' }
  if (!options.build) return { not: 'secantusd-rs is not built' }
  const missing = await missingTools(machine)
  if (missing) return { not: `secantusd-rs can't be built: ${missing}` }
  try {
    await build(machine, folder, path)
    return { path, version, why: 'built just now; no mongod, no Docker, no download' }
  } catch (cause) {
    return { not: `secantusd-rs can't be built: ${firstLine(cause)}` }
  }
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

async function missingTools(machine: Machine): Promise<string | undefined> {
  const cargo = await machine.find('cargo')
  if (!cargo) return 'no cargo on PATH'
  const { stdout } = await execa(cargo, ['--version'], { env: machine.env, extendEnv: false, reject: false })
  const [major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(stdout ?? '')?.slice(1) ?? []).map(Number)
  if (major < oldestRust[0] || (major === oldestRust[0] && minor < oldestRust[1]))
    return `cargo ${major}.${minor} is older than ${oldestRust.join('.')}`
  const needed = { gcc: 'gcc', 'g++': 'g++', cmake: 'cmake', ninja: 'ninja-build' }
  const absent: string[] = []
  for (const [command, debianPackage] of Object.entries(needed))
    if (!(await machine.find(command))) absent.push(debianPackage)
  if (absent.length === 0) return undefined
  if (!(await machine.apt.available())) return `${absent.join(', ')} not on PATH`
  try {
    await machine.apt.install(absent, machine.report)
    return undefined
  } catch (cause) {
    return `apt-get could not install ${absent.join(', ')} (${firstLine(cause)})`
  }
}

async function build(machine: Machine, folder: string, path: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const release = await lockBuild(machine, folder)
  try {
    if (await exists(path)) return // the run we waited for has built it
    machine.report.info('No mongod here: building SecantusDB, a compatible server, once (about 6 minutes on 2 cores)')
    await install(machine, folder)
  } finally {
    await release()
  }
}

async function lockBuild(machine: Machine, folder: string): Promise<() => Promise<void>> {
  const began = Date.now()
  for (;;) {
    try {
      return await lockfile.lock(folder, { stale: 20_000, update: 5000, retries: { retries: 2, minTimeout: 1000 } })
    } catch (cause) {
      if ((cause as { code?: string }).code !== 'ELOCKED') throw cause
      machine.report.progress(`another run builds SecantusDB; waiting ${elapsed(began)}`)
    }
  }
}

async function install(machine: Machine, folder: string): Promise<void> {
  const args = [
    'install',
    'secantus-mdb',
    '--version',
    version,
    '--locked',
    '--ignore-rust-version',
    '--force',
    '--root',
    folder,
  ]
  const child = execa('cargo', args, {
    env: {
      ...machine.env,
      CARGO_TERM_PROGRESS_WHEN: 'never',
      CARGO_PROFILE_RELEASE_LTO: 'off',
      CARGO_PROFILE_RELEASE_CODEGEN_UNITS: '16',
      CARGO_PROFILE_RELEASE_OPT_LEVEL: '2',
    },
    extendEnv: false,
    stdin: 'ignore',
    all: true,
    reject: false,
  })
  const began = Date.now()
  let compiled = 0
  const last: string[] = []
  for await (const line of child.iterable({ from: 'all' })) {
    last.push(line)
    if (last.length > 20) last.shift()
    if (/^\s*Compiling /.test(line)) compiled += 1
    machine.report.progress(
      `building SecantusDB: ${compiled} of about ${crates} crates, ${elapsed(began)} (${line.trim()})`,
    )
  }
  const { exitCode } = await child
  if (exitCode !== 0)
    throw new Error(`${last.findLast((line) => line.startsWith('error')) ?? `cargo ended with ${exitCode}`}`)
}

function elapsed(since: number): string {
  const seconds = Math.round((Date.now() - since) / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
