import { globSync } from 'node:fs'
import { cp, readFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { copyLicenses } from './licenses.ts'
import { forNode, leftInPlace, ownPlaces, withMaps } from './options.ts'
import { packagesInPlace } from './packages.ts'

/** What a process begins with. Services without a process are for whoever only wants them loaded. */
const programs = ['services/*/src/{main,service}.ts', 'services/message/src/files/image-process-main.ts']
/** Files that programs read beside their own. */
const readFiles = ['services/*/src/**/*.html']

/**
 * Bundles all services below `root` into `folder`, with one copy of what they share, and the licenses of what is in it. The folder
 * takes the place of `root` at `home`; beside it nothing is needed to run them but the packages that `copyPackages` copies.
 */
export async function bundleServices(root: string, folder: string, home = folder): Promise<void> {
  const inPlace = await packagesInPlace(root)
  const atHome = (file: string) => join(home, relative(root, file))
  const { metafile } = await build({
    ...forNode,
    ...withMaps,
    absWorkingDir: root,
    entryPoints: globSync(programs, { cwd: root }).map((file) => join(root, file)),
    outdir: folder,
    outbase: root,
    splitting: true,
    chunkNames: 'chunks/[hash]',
    metafile: true,
    plugins: [
      leftInPlace((path, file) => {
        const at = inPlace.get(nameOf(path))
        if (at && file.startsWith(at + sep)) return path
        throw new Error(`${path} at ${file} is left in place, but packages.ts does not name it`)
      }),
      withoutLines,
      ownPlaces(/\.ts$/, (file) => atHome(file).replace(/\.ts$/, '.mjs')),
    ],
  })
  const bundled = Object.keys(metafile.inputs).map((file) => join(root, file))
  await copyLicenses(bundled, join(folder, 'licenses'))
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
