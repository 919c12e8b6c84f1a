import { createHash } from 'node:crypto'
import { execa } from 'execa'
import type { Reporter } from '../reporter.ts'
import { findCommand } from './commands.ts'
import type { Launch } from './supervised-process.ts'

export interface ImageBuild {
  tag: string
  context: string
  dockerfile: string
  /** Values of its ARGs. */
  args?: Record<string, string>
}

export interface Docker {
  /** A client on PATH that reaches a running engine. */
  running(): Promise<boolean>
  /** The image is here. */
  has(image: string): Promise<boolean>
  /** The image is here, or could be fetched. */
  obtain(image: string, report: Reporter): Promise<boolean>
  build(image: ImageBuild, report: Reporter): Promise<void>
  /** Makes an image from a folder that holds the root of a system. */
  importFolder(tag: string, folder: string, without: string[]): Promise<void>
}

/** With `buildNetwork: 'host'` builds use the machine's network, for an engine that has none. */
export function dockerEngine(env: NodeJS.ProcessEnv, { buildNetwork }: { buildNetwork?: 'host' } = {}): Docker {
  let answer: Promise<boolean> | undefined
  const docker = (args: string[], timeout: number) =>
    execa('docker', args, { env, extendEnv: false, timeout, reject: false, stdin: 'ignore' })
  return {
    running() {
      answer ??= findCommand('docker', env).then(
        async (path) =>
          path !== undefined && (await docker(['version', '--format', '{{.Server.Version}}'], 4000)).exitCode === 0,
      )
      return answer
    },
    has: async (image) => (await docker(['image', 'inspect', image], 5000)).exitCode === 0,
    async obtain(image, report) {
      if (await this.has(image)) return true
      report.progress(`docker pull ${image}`)
      return (await docker(['pull', image], 600_000)).exitCode === 0
    },
    async build({ tag, context, dockerfile, args: values = {} }, report) {
      report.progress(`docker build ${tag}`)
      const network = buildNetwork ? ['--network', buildNetwork] : []
      const given = Object.entries(values).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`])
      const args = ['build', ...network, ...given, '-t', tag, '-f', dockerfile, context]
      const { exitCode, all } = await execa('docker', args, {
        ...{ env, extendEnv: false, stdin: 'ignore', all: true, reject: false },
      })
      if (exitCode !== 0) {
        const lines = all.split('\n').filter((line) => line.trim())
        throw new Error(
          [`${tag} can't be built: ${lines.at(-1) ?? 'no reason was given'}`, ...lines.slice(-20)].join('\n'),
        )
      }
    },
    async importFolder(tag, folder, without) {
      const excluded = without.map((pattern) => `--exclude=./${pattern}`)
      await execa('tar', ['-C', folder, ...excluded, '-c', '.'], { buffer: { stdout: false } }).pipe(
        'docker',
        ['import', '--change', 'CMD ["bash"]', '-', tag],
        { env, extendEnv: false },
      )
    },
  }
}

export interface ContainerOptions {
  /** Server name and data folder: together they name the container. */
  name: string
  folder: string
  image: string
  /** Host port → port inside, published on loopback only. */
  ports: [host: number, inside: number][]
  volumes: [host: string, inside: string, mode?: 'ro'][]
  env?: Record<string, string>
  command?: string[]
  /** It calls services that run on this machine, see `seenFromContainer`. */
  reachHost?: boolean
}

/** On Linux a container that calls our services shares the machine's network: they listen on loopback only. */
export const onHostNetwork = process.platform === 'linux'

/** An address of this machine as a container with `reachHost` must write it. */
export function seenFromContainer(url: string): string {
  return onHostNetwork ? url : url.replace('//127.0.0.1:', '//host.docker.internal:')
}

/** `docker run` in the foreground, so that a container is supervised like any other process. */
export function containerLaunch(
  options: ContainerOptions,
): Pick<Launch, 'file' | 'args' | 'env' | 'prepare' | 'signal'> {
  const { name, folder, image, ports, volumes, env = {}, command = [], reachHost } = options
  const container = `im-${name}-${createHash('sha256').update(folder).digest('hex').slice(0, 10)}`
  const user = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`
  return {
    file: 'docker',
    args: [
      ...['run', '--rm', '--init', '--name', container, '--user', user],
      ...(reachHost && onHostNetwork
        ? ['--network', 'host']
        : ports.flatMap(([host, inside]) => ['-p', `127.0.0.1:${host}:${inside}`])),
      ...volumes.flatMap(([host, inside, mode]) => ['-v', `${host}:${inside}${mode ? `:${mode}` : ''}`]),
      // Only names, because everybody on the machine can read a command line.
      ...Object.keys(env).flatMap((key) => ['-e', key]),
      image,
      ...command,
    ],
    env: { ...process.env, ...env },
    prepare: async () => void (await execa('docker', ['rm', '-f', container], { reject: false })),
    signal: async (signal) => void (await execa('docker', ['kill', '--signal', signal, container], { reject: false })),
  }
}
