import { readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Read when the first error has passed a bundle: undefined where there is no map. */
const maps = new Map<string, SourceMap | undefined>()

/** Names the lines of sources in a stack, in place of those of a bundle beside which maps lie. */
export function inSources(stack: string): string {
  return stack.replace(
    /file:\/\/\/([^\s()]+\.mjs):(\d+):(\d+)/g,
    (place, path: string, line: string, column: string) => {
      const file = fileURLToPath(`file:///${path}`)
      const entry = mapOf(file)?.findEntry(Number(line) - 1, Number(column) - 1)
      if (!entry || !('originalSource' in entry)) return place
      const source = resolve(dirname(file), entry.originalSource)
      return `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
    },
  )
}

function mapOf(file: string): SourceMap | undefined {
  if (!maps.has(file)) maps.set(file, readMap(`${file}.map`))
  return maps.get(file)
}

function readMap(file: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    // Most .mjs files are packages, which run as they are.
    return undefined
  }
}
