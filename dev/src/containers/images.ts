import { cp, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import type { Docker } from '../machine/docker.ts'
import { type Machine, repositoryRoot } from '../machine/machine.ts'
import { obtainSecantusdb } from '../servers/secantusdb.ts'
import { findOrInstall, firstLine, type NotHere } from '../servers/server.ts'
import { readImages } from './compose.ts'

const standIns = join(repositoryRoot, 'deploy/docker/offline')
const debian = 'debian:bookworm-slim'

/** The images that compose.yaml and the Dockerfiles start from. Debian is first, because stand-ins are built from it. */
async function baseImages(): Promise<string[]> {
  const services = await readImages()
  const dockerfiles = [...new Set(services.flatMap(({ build }) => (build ? [build.dockerfile] : [])))]
  const texts = await Promise.all(dockerfiles.map((path) => readFile(path, 'utf8')))
  const bases = texts.flatMap((text) =>
    [...text.matchAll(/^(?:FROM |ARG \w+_IMAGE=)(\w\S*:\S+)/gm)].map(([, image]) => image ?? ''),
  )
  const whole = services.flatMap(({ image, build }) => (build ? [] : [image]))
  return [...new Set([debian, ...bases, ...whole])]
}

/** Fetches the base images, or builds stand-ins with the same names where no registry can be reached. */
export async function obtainBaseImages(machine: Machine, docker: Docker, folder: string): Promise<NotHere | undefined> {
  for (const image of await baseImages()) {
    if (await docker.has(image)) continue
    const failed = await machine.failures.failedAt(image)
    if (!failed && (await docker.obtain(image, machine.report))) continue
    if (!failed) await machine.failures.remember(image)
    try {
      machine.report.progress(`making a stand-in for ${image}`)
      if (image === debian) await importDebian(machine, docker, join(folder, 'debian'))
      else await buildStandIn(machine, docker, image, join(folder, 'image'))
    } catch (cause) {
      return { not: `${image} can be neither fetched nor made: ${firstLine(cause)}` }
    }
  }
  return undefined
}

/** Our own images, as an operator builds them. */
export async function buildOwnImages(machine: Machine, docker: Docker): Promise<void> {
  const built = new Map((await readImages()).flatMap(({ image, build }) => (build ? [[image, build] as const] : [])))
  const args = { REVISION: await revision() }
  for (const [tag, build] of built) await docker.build({ tag, ...build, args }, machine.report)
}

/** The commit, with a mark when files differ from it. */
async function revision(): Promise<string> {
  const describe = ['describe', '--always', '--dirty', '--abbrev=40', '--exclude=*']
  const { stdout, exitCode } = await execa('git', describe, { cwd: repositoryRoot, reject: false, stdin: 'ignore' })
  return exitCode === 0 ? stdout : 'unknown'
}

async function importDebian(machine: Machine, docker: Docker, folder: string): Promise<void> {
  const found = await findOrInstall(machine, 'debootstrap', ['debootstrap'])
  if ('not' in found) throw new Error(found.not)
  try {
    await execa(found.path, ['--variant=minbase', 'bookworm', folder], { stdin: 'ignore' })
    await docker.importFolder(debian, folder, [
      ...['var/cache/apt/*', 'var/lib/apt/lists/*', 'usr/share/doc/*', 'usr/share/man/*', 'usr/share/locale/*'],
    ])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Makes what the Dockerfile of a stand-in copies besides the files in its folder. */
const ingredients: Record<string, (machine: Machine, folder: string) => Promise<void>> = {
  async node(_machine, folder) {
    await cp(join(repositoryRoot, 'node_modules/node/bin/node'), join(folder, 'node'), { dereference: true })
    await cp('/etc/ssl/certs/ca-certificates.crt', join(folder, 'ca-certificates.crt'))
    await execa('npm', ['install', '--silent', '--prefix', join(folder, 'packages'), 'npm@11'], { stdin: 'ignore' })
    await cp(join(folder, 'packages/node_modules/npm'), join(folder, 'npm'), { recursive: true })
  },
  async mongo(machine, folder) {
    const server = await obtainSecantusdb(machine, { build: true })
    if ('not' in server) throw new Error(server.not)
    await cp(server.path, join(folder, 'secantusd-rs'))
  },
}

async function buildStandIn(machine: Machine, docker: Docker, image: string, folder: string): Promise<void> {
  const [name = ''] = image.split(':')
  await mkdir(folder, { recursive: true })
  try {
    await cp(standIns, folder, { recursive: true })
    await ingredients[name]?.(machine, folder)
    const dockerfile = join(folder, `${name}.Dockerfile`)
    await docker.build({ tag: image, context: folder, dockerfile }, machine.report)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
