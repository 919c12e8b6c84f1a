import { readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { parse } from 'yaml'
import { repositoryRoot } from '../machine/machine.ts'

export interface ComposeImage {
  image: string
  /** How the image is built, if it is ours. */
  build?: { context: string; dockerfile: string }
}

/** The parts of a container in compose.yaml that we use. */
export interface ComposeService extends ComposeImage {
  name: string
  command?: string[]
  environment: Record<string, string>
  healthcheck?: { test: string | string[] }
  /** Files of the repository that are mounted. */
  files: { source: string; target: string }[]
  /** Folders inside that are volumes: what the container keeps. */
  kept: string[]
  /** What is taken from it: see `read_only`, `cap_drop`, `security_opt` and `mem_limit` (bytes) of compose. */
  limits: { readOnly: boolean; capDrop: string[]; securityOpt: string[]; memory?: number }
}

const file = join(repositoryRoot, 'deploy/docker/compose.yaml')
const here = dirname(file)

interface Written extends ComposeImage {
  command?: string[]
  environment?: Record<string, string | number>
  healthcheck?: { test: string | string[] }
  volumes?: string[]
  read_only?: boolean
  cap_drop?: string[]
  security_opt?: string[]
  mem_limit?: string
}

async function read(): Promise<Record<string, Written>> {
  return parse(await readFile(file, 'utf8'), { merge: true }).services
}

/** What compose makes of `${NAME}`, `${NAME:-default}` and `${NAME:?why}`; throws where it would refuse to start. */
export function interpolate(text: string, env: Record<string, string>): string {
  return text.replace(
    /\$\{(\w+)(?::([-?])((?:[^{}]|\$\{[^}]*\})*))?\}/g,
    (_whole, name: string, kind?: string, rest = '') => {
      if (env[name]) return env[name]
      if (kind === '?') throw new Error(`${name}: ${rest}`)
      return interpolate(rest, env)
    },
  )
}

/** The images of deploy/docker/compose.yaml. */
export const readImages = async (): Promise<ComposeImage[]> => Object.values(await read()).map(imageOf)

/** The containers of deploy/docker/compose.yaml with what `.env` holds, so that tests run what operators run. */
export async function readCompose(env: Record<string, string>): Promise<ComposeService[]> {
  return Object.entries(await read()).map(([name, written]) => {
    const { command, environment = {}, healthcheck, volumes = [] } = written
    const mounts = volumes.map((volume) => volume.split(':'))
    return {
      name,
      ...imageOf(written),
      ...(command ? { command: command.map((argument) => interpolate(argument, env)) } : {}),
      environment: Object.fromEntries(
        Object.entries(environment).map(([key, value]) => [key, interpolate(String(value), env)]),
      ),
      ...(healthcheck ? { healthcheck: { test: asWritten(healthcheck.test) } } : {}),
      files: mounts
        .filter(([source]) => source?.startsWith('./'))
        .map(([source = '', target = '']) => ({ source: resolve(here, source), target })),
      kept: mounts.filter(([source]) => !source?.startsWith('./')).map(([, target = '']) => target),
      limits: limitsOf(written),
    }
  })
}

/** compose writes `$$` where a command has `$`. */
function asWritten(test: string | string[]): string | string[] {
  return typeof test === 'string' ? test.replaceAll('$$', '$') : test.map((word) => word.replaceAll('$$', '$'))
}

function limitsOf({ read_only: readOnly = false, cap_drop, security_opt, mem_limit }: Written) {
  return {
    ...{ readOnly, capDrop: cap_drop ?? [], securityOpt: security_opt ?? [] },
    ...(mem_limit ? { memory: bytesOf(mem_limit) } : {}),
  }
}

/** Of `512m`, `1g`. */
function bytesOf(size: string): number {
  const [, count, unit = ''] = /^(\d+)([kmg]?)$/.exec(size) ?? []
  if (!count) throw new Error(`deploy/docker/compose.yaml has a size that is none: ${size}`)
  return Number(count) * 1024 ** ' kmg'.indexOf(unit || ' ')
}

function imageOf({ image, build }: Written): ComposeImage {
  if (!build) return { image }
  const context = resolve(here, build.context)
  return { image, build: { context, dockerfile: resolve(context, build.dockerfile) } }
}
