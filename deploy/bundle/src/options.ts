import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BuildOptions, Plugin } from 'esbuild'
import { placeBound } from './packages.ts'

/** For programs of Node that share chunks. */
export const forNode = {
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  outExtension: { '.js': '.mjs' },
  logLevel: 'silent',
  // Of two classes with one name the second is renamed, and with it the errors of it in logs.
  keepNames: true,
  // Packages of CommonJS ask for Node's modules.
  banner: {
    js: `import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);`,
  },
} satisfies BuildOptions

/** Read when something fails: processes that read them at a start would take longer than a bundle spares. */
export const withMaps = { sourcemap: 'linked', sourcesContent: false } satisfies BuildOptions

/**
 * Imports packages from where they are installed: place-bound ones, `others`, and what is imported late, which would lose its
 * names. `importAs` says how, from the name and the file that was found.
 */
export function leftInPlace(importAs: (name: string, file: string) => string, others: readonly string[] = []): Plugin {
  const names = [...placeBound, ...others].map((name) => name.replace('*', '[^/]+'))
  const isInPlace = new RegExp(`^(${names.join('|')})(/.*)?$`)
  return {
    name: 'left-in-place',
    setup(build) {
      build.onResolve({ filter: /^[^./]/ }, async ({ path, pluginData, ...options }) => {
        const isLate = options.kind === 'dynamic-import' && !/^(@im\/|node:)/.test(path)
        if (pluginData === 'found' || !(isLate || isInPlace.test(path))) return undefined
        const found = await build.resolve(path, { ...options, pluginData: 'found' })
        // What is not installed is asked for in vain from a bundle, too.
        return { path: found.errors.length || found.external ? path : importAs(path, found.path), external: true }
      })
    },
  }
}

/** Files know where they are by `import.meta`: `placeOf` gives where a bundled one is to believe it is. */
export const ownPlaces = (filter: RegExp, placeOf: (file: string) => string = (file) => file): Plugin => ({
  name: 'own-places',
  setup(build) {
    build.onLoad({ filter }, async ({ path }) => {
      const text = await readFile(path, 'utf8')
      if (!text.includes('import.meta.')) return undefined
      const place = placeOf(path)
      const places = { dirname: dirname(place), filename: place, url: pathToFileURL(place).href }
      const contents = text.replace(/import\.meta\.(dirname|filename|url)\b/g, (_, name: keyof typeof places) =>
        JSON.stringify(places[name]),
      )
      return { contents, loader: path.endsWith('.ts') ? 'ts' : 'js' }
    })
  },
})
