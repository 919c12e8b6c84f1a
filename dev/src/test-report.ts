import { inspect } from 'node:util'
import { Parser, type Result } from 'tap-parser'

export interface Outcome {
  passed: number
  failed: number
  skipped: number
}

/** The results so far of a test, a file or the whole run. */
interface Level extends Outcome {
  /** Tests or files within it. */
  parts: number
  /** Assertions of its own. */
  asserts: number
}

/**
 * Reads the TAP of a run and prints a line for each file, and what failed. A test with subtests counts as its subtests. A test
 * or file counts as one failure when it asserts nothing, fails although its parts pass, or has no result.
 */
export function testReport(
  files: string[],
  print: (line: string) => void,
): { parser: Parser; outcome(): Outcome; failedFiles(): string[] } {
  const failedNames = new Set<string>()
  const missing = new Set(files)
  const parser = new Parser()
  const run = follow(parser, [])

  function follow(tap: Parser, path: string[]): Level {
    const level: Level = { passed: 0, failed: 0, skipped: 0, parts: 0, asserts: 0 }
    let part: Level | undefined
    tap.on('child', (child) => {
      part = follow(child, [...path, child.name])
    })
    tap.on('assert', (result) => {
      const { ok, name, time } = result
      if (part) {
        const outcome = outcomeOf(result, part, path)
        level.parts += 1
        level.passed += outcome.passed
        level.failed += outcome.failed
        level.skipped += outcome.skipped
        if (path.length === 0 && outcome.failed) failedNames.add(name)
        if (missing.delete(name)) print(`${outcome.failed ? '✖' : '✔'} ${name} (${((time ?? 0) / 1000).toFixed(1)} s)`)
      } else if (isSkipped(result)) {
        level.skipped += 1
        print(`  ↷ ${[...path, name].join(' › ')}: ${result.skip || result.todo}`)
      } else {
        level.asserts += 1
        if (!ok) level.failed += 1
        if (!ok) describe(result, path)
      }
      part = undefined
    })
    return level
  }

  /** What a finished test or file adds to the count. */
  function outcomeOf(result: Result, part: Level, path: string[]): Outcome {
    const { failed, skipped, parts, asserts } = part
    const isFile = path.length === 0
    if (!result.ok && failed === 0) describe(result, path)
    if (!result.ok || failed > 0)
      return parts > 0 ? { ...part, failed: failed || 1 } : { passed: 0, failed: 1, skipped: 0 }
    if (parts > 0) return part
    if (asserts > 0) return { passed: 1, failed: 0, skipped: 0 }
    if (!isFile && isSkipped(result)) print(`  ↷ ${[...path, result.name].join(' › ')}: ${result.skip || result.todo}`)
    if (!isFile && (isSkipped(result) || skipped > 0)) return { passed: 0, failed: 0, skipped: 1 }
    print(`  ✖ ${[...path, result.name].join(' › ')}: asserts nothing`)
    return { passed: 0, failed: 1, skipped: 0 }
  }

  function describe({ name, diag }: Result, path: string[]): void {
    print(`  ✖ ${[...path, name].join(' › ')}`)
    const { at, stack = '', source: _source, ...rest } = diag ?? {}
    const frames: string[] = stack.split('\n').filter((frame: string) => frame && !frame.includes('node_modules'))
    if (frames.length === 0 && at?.fileName) frames.push(`${at.fileName}:${at.lineNumber}:${at.columnNumber}`)
    const details = Object.entries(rest).map(([key, value]) => {
      const text = typeof value === 'string' ? value.trimEnd() : inspect(value, { depth: 9 })
      return text.includes('\n') ? `${key}:\n${text}` : `${key}: ${text}`
    })
    const lines = [...details, ...frames.map((frame) => `at ${frame}`)].join('\n').split('\n')
    for (const line of lines) print(`      ${line}`)
  }

  return {
    parser,
    /** Of the whole run, when it has ended. */
    outcome() {
      for (const file of missing) print(`✖ ${file}: no result`)
      return { passed: run.passed, failed: run.failed + missing.size, skipped: run.skipped }
    },
    failedFiles: () => [...failedNames, ...missing],
  }
}

const isSkipped = ({ skip, todo }: Result) => Boolean(skip || todo)
