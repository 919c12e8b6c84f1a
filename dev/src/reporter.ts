/** Shows progress: in a task of the start list, on a plain stream, or nowhere. */
export interface Reporter {
  /** A line that stays. */
  info(line: string): void
  /** A line that the next one replaces where the output can do that. */
  progress(line: string): void
}

/** Plain lines on a stream; a progress line is written when it differs from the last one, at most one in two seconds. */
export function streamReporter(stream: { write(text: string): unknown } = process.stderr): Reporter {
  let last = ''
  let lastAt = 0
  return {
    info: (line) => void stream.write(`${line}\n`),
    progress(line) {
      if (line === last || Date.now() - lastAt < 2000) return
      last = line
      lastAt = Date.now()
      stream.write(`  ${line}\n`)
    },
  }
}

export const silentReporter: Reporter = { info() {}, progress() {} }
