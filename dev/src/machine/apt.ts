import { execa } from 'execa'
import type { Reporter } from '../reporter.ts'
import { findCommand } from './commands.ts'

/** Installs Debian's packages, where we are root. */
export interface PackageInstaller {
  available(): Promise<boolean>
  /** One installation at a time. Services of the packages are not started: we start them ourselves. */
  install(packages: string[], report: Reporter): Promise<void>
}

/** apt holds a lock: one installation at a time in this process, and one update. */
let last: Promise<unknown> = Promise.resolve()
let updated: Promise<void> | undefined

export function aptInstaller(env: NodeJS.ProcessEnv): PackageInstaller {
  return {
    available: async () => process.getuid?.() === 0 && (await findCommand('apt-get', env)) !== undefined,
    install(packages, report) {
      const mine = last
        .catch(() => {})
        .then(async () => {
          // If the update fails, the old list may still be good enough.
          updated ??= apt(['update'], env, report).catch((cause) => report.info((cause as Error).message))
          await updated
          report.info(`Installing ${packages.join(', ')} with apt-get`)
          const options = ['install', '-y', '--no-install-recommends']
          await apt([...options, ...packages], { ...env, ...withoutServiceStarts }, report)
        })
      last = mine
      return mine
    },
  }
}

/** Packages start no service: `systemctl` ignores what needs a running systemd, `runlevel` tells that this is single-user mode. */
const withoutServiceStarts = { SYSTEMD_OFFLINE: '1', RUNLEVEL: '1' }

async function apt(args: string[], env: NodeJS.ProcessEnv, report: Reporter): Promise<void> {
  const child = execa('apt-get', ['-o', 'DPkg::Lock::Timeout=180', '-o', 'Acquire::Retries=2', ...args], {
    env: { ...env, DEBIAN_FRONTEND: 'noninteractive' },
    extendEnv: false,
    stdin: 'ignore',
    all: true,
    reject: false,
  })
  for await (const line of child) report.progress(`apt-get: ${line}`)
  const { exitCode, all } = await child
  const reason = (all ?? '').split('\n').find((line) => line.startsWith('E:'))
  if (exitCode !== 0) throw new Error(reason ?? `apt-get ${args[0]} ended with exit code ${exitCode}`)
}
