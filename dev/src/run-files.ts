/**
 * `node run-files.ts <file> <file>…`: test files in one process, one after the other. What they share is loaded and compiled once,
 * which is more than half of what a short file costs.
 */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { t } from 'tap'

const files = process.argv.slice(2)
const loading = (async () => {
  for (const file of files) await import(pathToFileURL(resolve(file)).href)
})()
// Otherwise tap ends when the tests of the first files do.
t.waitOn(loading, () => {})
await loading
