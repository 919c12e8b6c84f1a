import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { type Docker, dockerEngine } from '../machine/docker.ts'
import type { Machine } from '../machine/machine.ts'
import { nameOf } from '../machine/proc.ts'
import { SupervisedProcess } from '../machine/supervised-process.ts'
import { findOrInstall, firstLine, type NotHere } from '../servers/server.ts'
import { obtainBridge } from './bridge.ts'

export interface Engine {
  docker: Docker
  /** The environment of clients that use this engine. */
  env: Record<string, string>
  what: string
  /** Removes the containers and networks whose names contain this, with their volumes. */
  removeAll(named: string): Promise<void>
  close(): Promise<void>
}

/** Uses the Docker engine of this machine. Otherwise, where root can install Debian's, starts one that runs until `close`. */
export async function obtainEngine(machine: Machine, folder: string): Promise<Engine | NotHere> {
  if (await machine.docker.running())
    return {
      ...{ docker: machine.docker, env: {}, what: 'the engine of this machine' },
      removeAll: (named) => removeAll(named, {}),
      async close() {},
    }
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return { not: 'no Docker engine answers, and only root can start one' }
  const found = await findOrInstall(machine, 'dockerd', ['docker.io'])
  if ('not' in found) return { not: `no Docker engine answers; ${found.not}` }
  try {
    return await startEngine(machine, found.path, folder)
  } catch (cause) {
    return { not: `no Docker engine answers; ${firstLine(cause)}` }
  }
}

/**
 * Starts an engine that changes nothing on the machine: no bridge that stays, no firewall rules, ports on loopback. Containers
 * reach only each other, on networks made for them. Images are kept in the user's cache.
 */
async function startEngine(machine: Machine, dockerd: string, folder: string): Promise<Engine> {
  const kept = join(machine.cache, 'docker')
  // Beside the images, so that a second engine on the same images refuses to start.
  const pidFile = join(kept, 'docker.pid')
  await mkdir(kept, { recursive: true })
  await forgetDeadEngine(pidFile)
  const socket = `unix://${join(folder, 'docker.sock')}`
  const env = { DOCKER_HOST: socket, TESTCONTAINERS_HOST_OVERRIDE: '127.0.0.1' }
  const bridge = await obtainBridge(machine)
  const engine = new SupervisedProcess({
    name: 'docker',
    title: 'The Docker engine',
    file: dockerd,
    args: [
      ...['--data-root', join(kept, 'root'), '--exec-root', join(folder, 'docker'), '--host', socket],
      ...['--pidfile', pidFile],
      ...['--bridge', bridge.name, '--iptables=false', '--ip-forward=false', '--ip-masq=false', '--ip', '127.0.0.1'],
    ],
    ready: async () => void (await execa('docker', ['version'], { env, timeout: 2000, stdin: 'ignore' })),
    readyDeadlineMs: 30_000,
    reason: (log) => /^failed to start daemon: .*/m.exec(log)?.[0],
    stopDeadlineMs: 30_000,
    logFile: join(folder, 'logs/docker.log'),
    records: join(folder, 'run'),
    report: machine.report,
    supervise: false,
  })
  try {
    await engine.start()
  } catch (cause) {
    await bridge.remove()
    throw cause
  }
  await removeAll('', env)
  return {
    // Builds fetch packages, and this engine has no network that leads out.
    docker: dockerEngine({ ...machine.env, ...env }, { buildNetwork: 'host' }),
    env,
    what: `${dockerd}, started for this run`,
    removeAll: (named) => removeAll(named, env),
    async close() {
      await removeAll('', env).catch(() => {})
      // Newer images are layers that the next build can use.
      const prune = ['image', 'prune', '--force', '--filter', 'until=24h']
      await execa('docker', prune, { env, reject: false, stdin: 'ignore' })
      await engine.stop()
      await bridge.remove()
      // The engine leaves this mount behind, and the folder could not be removed.
      await execa('umount', [join(folder, 'docker/netns/default')], { reject: false })
    },
  }
}

/** An engine that was killed leaves its file, and starts no more once another program has its number. */
async function forgetDeadEngine(pidFile: string): Promise<void> {
  const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''))
  if (pid && nameOf(pid) !== 'dockerd') await rm(pidFile, { force: true })
}

async function removeAll(named: string, env: Record<string, string>): Promise<void> {
  const docker = async (...args: string[]) => (await execa('docker', args, { env, stdin: 'ignore' })).stdout
  const filter = named ? ['--filter', `name=${named}`] : []
  const ids = (text: string) => text.split('\n').filter(Boolean)
  const containers = ids(await docker('ps', '--all', '--quiet', ...filter))
  if (containers.length > 0) await docker('rm', '--force', '--volumes', ...containers)
  const networks = ids(await docker('network', 'ls', '--quiet', '--filter', 'type=custom', ...filter))
  if (networks.length > 0) await docker('network', 'rm', ...networks)
}
