import { globSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type BuildOptions, build, type Plugin } from 'esbuild'

/** Programs that test files start, and services that are imported by their path. */
const programs = [
  'dev/src/{run-services,start}.ts',
  'docs/generate.ts',
  'services/*/src/{main,service}.ts',
  'services/*/test/*-process.ts',
  'libs/service-kit/test/*-process.ts',
]

/** Packages that look for files beside their own stay where they are. */
const inPlace = [
  ...['@tapjs/*', 'esbuild', 'execa', 'testcontainers', 'mongodb-memory-server-core', 'pino', 'pino-pretty'],
  ...['sharp', '@resvg/*', '@node-rs/*', 'heic-decode', '@fastify/swagger', '@fastify/swagger-ui', '@aws-sdk/*'],
]
const isInPlace = new RegExp(`^(${inPlace.map((name) => name.replace('*', '[^/]+')).join('|')})(/.*)?$`)

/** Asks for its own place in a way that a bundle can't answer. */
const placeBound = /import\.meta\.(resolve|main)\b/

/**
 * Bundles test files and the programs that they start, with one copy of what they share, into a folder: a process then loads
 * tens of files instead of almost two thousand. Made anew for each run, so never stale. Returns the environment in which Node runs
 * the bundle of a file instead of the file.
 */
export async function bundle(files: readonly string[], root: string, folder: string): Promise<NodeJS.ProcessEnv> {
  const found = globSync(programs, { cwd: root, exclude: (name) => name === 'node_modules' })
  const entries = [...new Set([...files, ...found])].map((file) => join(root, file))
  const texts = await Promise.all(entries.map((entry) => readFile(entry, 'utf8')))
  const options = { ...common, absWorkingDir: root }
  const [{ metafile }] = await Promise.all([
    build({
      ...options,
      entryPoints: entries.filter((_, index) => !placeBound.test(texts[index]!)),
      outdir: folder,
      outbase: root,
      splitting: true,
      chunkNames: 'chunks/[hash]',
      metafile: true,
      // Read when something fails (`inSources`): processes that read it themselves would take longer than they spare.
      sourcemap: 'linked',
      sourcesContent: false,
      plugins: [tapAt(join(folder, tapBundle)), packagesInPlace, ownPlaces(/\.ts$/)],
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

const common = {
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  outExtension: { '.js': '.mjs' },
  logLevel: 'silent',
  // Packages of CommonJS ask for Node's modules.
  banner: {
    js: `import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);`,
  },
} satisfies BuildOptions

const tapAt = (path: string): Plugin => ({
  name: 'tap-at',
  setup(build) {
    build.onResolve({ filter: /^tap$/ }, () => ({ path, external: true }))
  },
})

/** Imports packages from where they are installed: those named above, and what is imported late, which would lose its names. */
const packagesInPlace: Plugin = {
  name: 'packages-in-place',
  setup(build) {
    build.onResolve({ filter: /^[^./]/ }, async ({ path, pluginData, ...options }) => {
      const isLate = options.kind === 'dynamic-import' && !path.startsWith('@im/')
      if (pluginData === 'found' || !(isLate || isInPlace.test(path))) return undefined
      const found = await build.resolve(path, { ...options, pluginData: 'found' })
      // What is not installed is asked for in vain from a bundle, too.
      return { path: found.errors.length ? path : found.path, external: true }
    })
  },
}

/** Files know where they are by `import.meta`: in a bundle, too, they are where they were. */
const ownPlaces = (filter: RegExp): Plugin => ({
  name: 'own-places',
  setup(build) {
    build.onLoad({ filter }, async ({ path }) => {
      const text = await readFile(path, 'utf8')
      if (!text.includes('import.meta.')) return undefined
      const places = { dirname: dirname(path), filename: path, url: pathToFileURL(path).href }
      const contents = text.replace(/import\.meta\.(dirname|filename|url)\b/g, (_, name: keyof typeof places) =>
        JSON.stringify(places[name]),
      )
      return { contents, loader: path.endsWith('.ts') ? 'ts' : 'js' }
    })
  },
})
