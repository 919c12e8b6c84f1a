import { globSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { forNode, leftInPlace, ownPlaces, withMaps } from '@im/bundle'
import { build, type Plugin } from 'esbuild'
import { placeBound } from '../test-files.ts'

/** Programs that test files start, and services that are imported by their path. */
const programs = [
  'dev/src/{run-files,run-services,start}.ts',
  'docs/generate.ts',
  'services/*/src/{main,service}.ts',
  'services/*/test/*-process.ts',
  'libs/service-kit/test/*-process.ts',
]

/** Packages of tests that look for files beside their own. */
const alsoInPlace = ['@tapjs/*', 'esbuild', 'execa', 'testcontainers', 'mongodb-memory-server-core']

/**
 * Bundles test files and the programs that they start, with one copy of what they share, into a folder: a process then loads
 * tens of files instead of almost two thousand. Made anew for each run, so never stale. Returns the environment in which Node runs
 * the bundle of a file instead of the file.
 */
export async function bundle(files: readonly string[], root: string, folder: string): Promise<NodeJS.ProcessEnv> {
  const found = globSync(programs, { cwd: root, exclude: (name) => name === 'node_modules' })
  const entries = [...new Set([...files, ...found])].map((file) => join(root, file))
  const texts = await Promise.all(entries.map((entry) => readFile(entry, 'utf8')))
  const options = { ...forNode, absWorkingDir: root }
  const [{ metafile }] = await Promise.all([
    build({
      ...options,
      entryPoints: entries.filter((_, index) => !placeBound.test(texts[index]!)),
      outdir: folder,
      outbase: root,
      splitting: true,
      chunkNames: 'chunks/[hash]',
      metafile: true,
      ...withMaps,
      plugins: [tapAt(join(folder, tapBundle)), leftInPlace((_name, file) => file, alsoInPlace), ownPlaces(/\.ts$/)],
    }),
    build({ ...options, entryPoints: ['tap'], outfile: join(folder, tapBundle), plugins: [ownPlaces(/\.js$/)] }),
  ])
  const bundles = Object.entries(metafile.outputs).flatMap(([output, { entryPoint }]) =>
    entryPoint ? [[pathToFileURL(join(root, entryPoint)).href, pathToFileURL(join(root, output)).href]] : [],
  )
  const map = join(folder, 'bundles.json')
  await writeFile(map, JSON.stringify(Object.fromEntries(bundles)))
  const preload = `--require=${JSON.stringify(join(import.meta.dirname, 'use-bundles.cjs'))}`
  return {
    IM_BUNDLES: map,
    NODE_COMPILE_CACHE: join(folder, 'compiled'),
    NODE_OPTIONS: [process.env['NODE_OPTIONS'], preload].filter(Boolean).join(' '),
  }
}

/** Where tap is bundled: it leaves lines of files below such a folder out of the stacks that it shows. */
const tapBundle = 'node_modules/@tapjs/tap.mjs'

const tapAt = (path: string): Plugin => ({
  name: 'tap-at',
  setup(build) {
    build.onResolve({ filter: /^tap$/ }, () => ({ path, external: true }))
  },
})
