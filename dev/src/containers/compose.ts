import { readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { parse } from 'yaml'
import { repositoryRoot } from '../machine/machine.ts'

/** The parts of a container in compose.yaml that we use. */
export interface ComposeService {
  name: string
  image: string
  /** How the image is built, if it is ours. */
  build?: { context: string; dockerfile: string }
  command?: string[]
  /** Settings with a value in compose.yaml; others come from `.env`. */
  environment: Record<string, string>
  healthcheck?: { test: string | string[] }
  /** Files of the repository that are mounted. */
  files: { source: string; target: string }[]
}

const file = join(repositoryRoot, 'deploy/docker/compose.yaml')

interface Written {
  image: string
  build?: { context: string; dockerfile: string }
  command?: string[]
  environment?: Record<string, string | number | null>
  healthcheck?: { test: string | string[] }
  volumes?: string[]
}

/** The containers of deploy/docker/compose.yaml, so that tests run what operators run. */
export async function readCompose(): Promise<ComposeService[]> {
  const { services } = parse(await readFile(file, 'utf8'), { merge: true }) as { services: Record<string, Written> }
  const here = dirname(file)
  return Object.entries(services).map(
    ([name, { image, build, command, environment = {}, healthcheck, volumes = [] }]) => ({
      name,
      image,
      ...(build
        ? {
            build: {
              context: resolve(here, build.context),
              dockerfile: resolve(here, build.context, build.dockerfile),
            },
          }
        : {}),
      ...(command ? { command } : {}),
      environment: Object.fromEntries(
        Object.entries(environment).flatMap(([key, value]) =>
          value === null || String(value).includes('${') ? [] : [[key, String(value)]],
        ),
      ),
      ...(healthcheck ? { healthcheck } : {}),
      files: volumes
        .filter((volume) => volume.startsWith('./'))
        .map((volume) => volume.split(':'))
        .map(([source = '', target = '']) => ({ source: resolve(here, source), target })),
    }),
  )
}
