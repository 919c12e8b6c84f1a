import { globSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, realpath, symlink } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { forNode, ownPlaces, packagesInPlace, withMaps } from './options.ts'

/** What a process begins with. Services without a process are for whoever only wants them loaded. */
const programs = ['services/*/src/{main,service}.ts', 'services/message/src/files/image-process-main.ts']
/** Files that programs read beside their own. */
const readFiles = ['services/*/src/**/*.html']
/** Loaded by name. */
const alsoInPlace = [['libs/service-kit', 'pino-pretty']] as const

/**
 * Bundles all services below `root` into `folder`, with one copy of what they share, and copies those packages that can't be
 * bundled, with all they need. The folder takes the place of `root` at `home`; nothing else is needed to run them.
 */
export async function bundleServices(root: string, folder: string, home = folder): Promise<void> {
  const inPlace = new Map<string, string>()
  const atHome = (file: string) => join(home, relative(root, file))
  await build({
    ...forNode,
    ...withMaps,
    absWorkingDir: root,
    entryPoints: globSync(programs, { cwd: root }).map((file) => join(root, file)),
    outdir: folder,
    outbase: root,
    splitting: true,
    chunkNames: 'chunks/[hash]',
    plugins: [
      packagesInPlace((path, file) => {
        inPlace.set(nameOf(path), packageAt(file, nameOf(path)))
        return path
      }),
      withoutLines,
      ownPlaces(/\.ts$/, (file) => atHome(file).replace(/\.ts$/, '.mjs')),
    ],
  })
  for (const [owner, name] of alsoInPlace) inPlace.set(name, await realpath(join(root, owner, 'node_modules', name)))
  await copyPackages([...inPlace], root, folder)
  await Promise.all(globSync(readFiles, { cwd: root }).map((file) => cp(join(root, file), join(folder, file))))
}

/** A map of nothing but the beginning of a file: esbuild passes over an empty one. */
const noLines = Buffer.from(JSON.stringify({ version: 3, sources: ['js'], names: [], mappings: 'AAAA' })).toString(
  'base64',
)

/** Leaves packages out of the maps: with them the first error that a service tells would take 100 MB and a good part of a second. */
const withoutLines: Plugin = {
  name: 'without-lines',
  setup(build) {
    build.onLoad({ filter: /\/node_modules\/.*\.[cm]?js$/ }, async ({ path }) => ({
      contents: `${await readFile(path, 'utf8')}\n//# sourceMappingURL=data:application/json;base64,${noLines}`,
      loader: 'js',
    }))
  },
}

/** Of `@aws-sdk/client-s3/dist/x`: `@aws-sdk/client-s3`. */
const nameOf = (path: string) => (/^(@[^/]+\/)?[^/]+/.exec(path) ?? [path])[0]

/** The folder of a package from one of its files. */
const packageAt = (file: string, name: string) =>
  file.slice(0, file.lastIndexOf(join('node_modules', name) + sep) + join('node_modules', name).length)

/**
 * pnpm has each package in a folder of its own, `node_modules/.pnpm/<package>/node_modules`, with links to those it needs beside
 * it. They are copied as they are, and found by their names.
 */
async function copyPackages(packages: [name: string, at: string][], root: string, folder: string): Promise<void> {
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
  const copies = packages.map(async ([name, at]) => {
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
