import { existsSync, readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'

/** Names the lines of sources in place of those of their bundles, in what a run tells of a failure. */
export function inSources(text: string, root: string, folder: string): string {
  const name = relative(dirname(folder), folder)
  // tap names files from the repository on, Node by their whole path or URL.
  const places = new RegExp(`[^\\s('"]*/${name}/([\\w./-]+\\.mjs):(\\d+):(\\d+)`, 'g')
  return text.replace(places, (place, file: string, line: string, column: string) => {
    const map = join(folder, `${file}.map`)
    if (!existsSync(map)) return place
    const entry = new SourceMap(JSON.parse(readFileSync(map, 'utf8'))).findEntry(Number(line) - 1, Number(column) - 1)
    if (!('originalSource' in entry)) return place
    const source = relative(root, resolve(dirname(map), entry.originalSource))
    return `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
  })
}
