export interface Outcome {
  passed: number
  failed: number
  skipped: number
}

/** What the runner tells of a test, a suite or a whole file that ended; children come before their parent. */
export interface EndedTest {
  name: string
  nesting: number
  file?: string | undefined
  skip?: string | boolean | undefined
  todo?: string | boolean | undefined
  details: { type?: string | undefined; error?: unknown }
}

/**
 * Counts tests as a person does: a test with parts counts by its parts, suites and files don't count. A file that can't
 * be loaded, and a test that fails although its parts pass, counts as one failed.
 */
export function testCounter(): { counts: Outcome; count(test: EndedTest, passed: boolean): void } {
  const counts: Outcome = { passed: 0, failed: 0, skipped: 0 }
  /** Depths at which a part has ended in a file, not yet claimed by its parent. */
  const parts = new Map<string | undefined, Set<number>>()

  function count(test: EndedTest, passed: boolean): void {
    const open = parts.get(test.file) ?? new Set()
    parts.set(test.file, open)
    const hasParts = open.delete(test.nesting + 1)
    const isFile = test.nesting === 0 && test.name === test.file
    if (!isFile) open.add(test.nesting)
    if (isFile || hasParts || test.details.type === 'suite') {
      if (!passed && failureType(test.details.error) !== 'subtestsFailed') counts.failed += 1
    } else if (test.skip !== undefined || test.todo !== undefined) counts.skipped += 1
    else if (passed) counts.passed += 1
    else counts.failed += 1
  }
  return { counts, count }
}

const failureType = (error: unknown) => (error as { failureType?: string } | undefined)?.failureType
