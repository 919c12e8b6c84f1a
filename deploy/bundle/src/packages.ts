import { globSync } from 'node:fs'
import { cp, mkdir, readdir, realpath, symlink } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'

/** Packages of services that look for files beside their own. */
export const placeBound = [
  ...['pino', 'pino-pretty', 'sharp', '@resvg/*', '@node-rs/*', 'heic-decode'],
  ...['@fastify/swagger', '@fastify/swagger-ui', '@aws-sdk/*'],
]

/** Packages that services import late. They would lose their names in a bundle. */
const importedLate = ['bmp-ts', '@opentelemetry/{exporter-trace-otlp-http,resources,sdk-trace-node}']

/** The packages of `root` that a bundle leaves in place: names, and the folders where they are. */
export async function packagesInPlace(root: string): Promise<Map<string, string>> {
  const wanted = [...placeBound, ...importedLate].map((name) => `{libs,services}/*/node_modules/${name}`)
  const found = globSync(wanted, { cwd: root }).map(async (path) => {
    const name = path.split(join('node_modules', sep)).at(-1) ?? ''
    return [name.replaceAll(sep, '/'), await realpath(join(root, path))] as const
  })
  return new Map(await Promise.all(found))
}

/**
 * Copies the packages that a bundle leaves in place into a folder, with all they need. pnpm has each package in a folder of its
 * own, `node_modules/.pnpm/<package>/node_modules`, with links to those it needs beside it. They are copied as they are, and found
 * by their names.
 */
export async function copyPackages(root: string, folder: string): Promise<void> {
  const copied = new Set<string>()
  async function copy(home: string): Promise<void> {
    if (copied.has(home)) return
    copied.add(home)
    await cp(home, join(folder, relative(root, home)), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (file) => !isForDevelopers.test(file),
    })
    const needed = (await linksIn(home)).map(async (link) => copy(homeOf(await realpath(link))))
    await Promise.all(needed)
  }
  const copies = [...(await packagesInPlace(root))].map(async ([name, at]) => {
    await copy(homeOf(at))
    const link = join(folder, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(relative(dirname(link), join(folder, relative(root, at))), link)
  })
  await Promise.all(copies)
}

/** Types and maps. */
const isForDevelopers = /\.(d\.[cm]?ts|map)$/

/** The `node_modules` that holds a package and links to what it needs. */
function homeOf(at: string): string {
  const folder = dirname(at)
  return basename(folder).startsWith('@') ? dirname(folder) : folder
}

async function linksIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const found = await Promise.all(
    entries.map(async (entry) => {
      const path = join(folder, entry.name)
      if (entry.isSymbolicLink()) return [path]
      return /^@(?!types$)/.test(entry.name) ? await linksIn(path) : []
    }),
  )
  return found.flat()
}
