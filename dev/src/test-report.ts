import { inspect } from 'node:util'
import { type FinalResults, Parser, type Result } from 'tap-parser'

export interface Outcome {
  passed: number
  failed: number
  skipped: number
}

/** The results so far of a test or a file. */
interface Level extends Outcome {
  /** Tests within it. */
  parts: number
  /** Assertions of its own. */
  asserts: number
}

/**
 * Reads the TAP of a test file and tells what failed. A test with subtests counts as its subtests. A test or file counts as one
 * failure when it asserts nothing, or fails although its parts pass.
 */
export function fileReport(
  file: string,
  print: (line: string) => void,
): { parser: Parser; end(problem?: string): Outcome } {
  const parser = new Parser()
  const top = follow(parser, [file])
  let results: FinalResults | undefined
  parser.once('complete', (final) => {
    results = final
  })

  function follow(tap: Parser, path: string[]): Level {
    const level: Level = { passed: 0, failed: 0, skipped: 0, parts: 0, asserts: 0 }
    let part: Level | undefined
    tap.on('child', (child) => {
      part = follow(child, [...path, child.name])
    })
    tap.on('assert', (result) => {
      if (part) {
        level.parts += 1
        add(level, outcomeOf(result, part, path))
      } else if (isSkipped(result)) {
        level.skipped += 1
        tellSkipped(result, path)
      } else {
        level.asserts += 1
        if (!result.ok) level.failed += 1
        if (!result.ok) describe(result, path)
      }
      part = undefined
    })
    return level
  }

  /** What a finished test adds to the count. */
  function outcomeOf(result: Result, part: Level, path: string[]): Outcome {
    if (!result.ok && part.failed === 0) describe(result, path)
    if (!result.ok || part.failed > 0) return failure(part)
    if (part.parts > 0) return part
    if (part.asserts > 0) return { passed: 1, failed: 0, skipped: 0 }
    if (isSkipped(result)) tellSkipped(result, path)
    if (isSkipped(result) || part.skipped > 0) return { passed: 0, failed: 0, skipped: 1 }
    return assertsNothing([...path, result.name])
  }

  function assertsNothing(path: string[]): Outcome {
    print(`  ✖ ${path.join(' › ')}: asserts nothing`)
    return { passed: 0, failed: 1, skipped: 0 }
  }

  function tellSkipped({ name, skip, todo }: Result, path: string[]): void {
    print(`  ↷ ${[...path, name].join(' › ')}: ${skip || todo}`)
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

  /** Why the whole of the TAP is no success, or undefined. */
  function fault(): string | undefined {
    if (!results || results.ok) return
    const errors = results.failures.flatMap((failure) => ('tapError' in failure ? [String(failure.tapError)] : []))
    return results.bailout ? 'bailed out' : (errors[0] ?? 'not ok')
  }

  return {
    parser,
    /** When all of its TAP is read. The problem is what its process did wrong, such as an exit code. */
    end(problem) {
      parser.end()
      const wrong = problem ?? fault()
      if (wrong && top.failed === 0) print(`  ✖ ${file}: ${wrong}`)
      if (wrong || top.failed > 0) return failure(top)
      if (top.parts > 0) return pick(top)
      return top.asserts > 0 ? { passed: 1, failed: 0, skipped: 0 } : assertsNothing([file])
    },
  }
}

/** A failed test or file: one failure, or as many as its parts have. */
function failure({ passed, failed, skipped, parts }: Level): Outcome {
  return parts > 0 ? { passed, failed: failed || 1, skipped } : { passed: 0, failed: 1, skipped: 0 }
}

const pick = ({ passed, failed, skipped }: Outcome): Outcome => ({ passed, failed, skipped })

export function add(total: Outcome, more: Outcome): void {
  total.passed += more.passed
  total.failed += more.failed
  total.skipped += more.skipped
}

const isSkipped = ({ skip, todo }: Result) => Boolean(skip || todo)
