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
}

const file = join(repositoryRoot, 'deploy/docker/compose.yaml')
const here = dirname(file)

interface Written extends ComposeImage {
  command?: string[]
  environment?: Record<string, string | number>
  healthcheck?: { test: string | string[] }
  volumes?: string[]
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
    return {
      name,
      ...imageOf(written),
      ...(command ? { command: command.map((argument) => interpolate(argument, env)) } : {}),
      environment: Object.fromEntries(
        Object.entries(environment).map(([key, value]) => [key, interpolate(String(value), env)]),
      ),
      ...(healthcheck ? { healthcheck } : {}),
      files: volumes
        .filter((volume) => volume.startsWith('./'))
        .map((volume) => volume.split(':'))
        .map(([source = '', target = '']) => ({ source: resolve(here, source), target })),
    }
  })
}

function imageOf({ image, build }: Written): ComposeImage {
  if (!build) return { image }
  const context = resolve(here, build.context)
  return { image, build: { context, dockerfile: resolve(context, build.dockerfile) } }
}
