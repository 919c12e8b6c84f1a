// Loaded before everything else (`--require`) by the processes of a test run: they run the bundle of a file that has one.
// IM_BUNDLES names a JSON file beside the bundles, from the URL of a source to that of its bundle.
const { readFileSync } = require('node:fs')
const { registerHooks } = require('node:module')
const { pathToFileURL } = require('node:url')

const map = process.env.IM_BUNDLES
// Processes of an older Node run no sources.
if (map && registerHooks) {
  const bundles = JSON.parse(readFileSync(map, 'utf8'))
  const folder = new URL('.', pathToFileURL(map)).href
  registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context)
      const url = bundles[resolved.url]
      // A source that runs as one keeps to sources: it must not get what it shares with a bundle twice.
      const isOurs = context.parentURL === undefined || context.parentURL.startsWith(folder)
      return url !== undefined && isOurs ? { url, format: 'module', shortCircuit: true } : resolved
    },
  })
}
