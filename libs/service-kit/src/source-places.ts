import { existsSync, readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { dirname, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** Where a bundle of services lies when this is a part of one; see deploy/bundle. */
const ownBundle = resolve(import.meta.dirname, '../../..')
/** Of chunks that an error has passed; undefined: it can't be read. */
const maps = new Map<string, SourceMap | undefined>()

/** Names the lines of sources in a stack in place of those of the bundle. What else its message holds stays as it is. */
export function inSources(stack: string, bundle = ownBundle): string {
  const chunks = `${pathToFileURL(bundle).href}/chunks/`
  const places = new RegExp(`${RegExp.escape(chunks)}(\\w+\\.mjs):(\\d+):(\\d+)`, 'g')
  return stack.replace(places, (place, name: string, ...numbers) => {
    const file = fileURLToPath(`${chunks}${name}`)
    const [line, column] = [Number(numbers[0]) - 1, Number(numbers[1]) - 1]
    const entry = mapOf(file)?.findEntry(line, column)
    if (!entry || !('originalSource' in entry)) return place
    // Lines of packages are in no map, so what is found for them is the line before, or a package.
    if (entry.generatedLine !== line || entry.originalSource.includes('/node_modules/')) return place
    const source = resolve(dirname(file), entry.originalSource)
    return `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
  })
}

function mapOf(file: string): SourceMap | undefined {
  // A message may name what there is not, and as much of it as it likes.
  if (!maps.has(file) && existsSync(`${file}.map`)) maps.set(file, readMap(`${file}.map`))
  return maps.get(file)
}

function readMap(file: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return undefined
  }
}
