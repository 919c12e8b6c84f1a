import pretty from 'pino-pretty'

interface LogLine {
  level: number
  msg?: string
  service?: string
  err?: { message?: string }
}

const levels = { warn: 40, error: 50, fatal: 60 }

/**
 * Prints lines of the services' logs: warnings as one line each, errors whole, and with `verbose` everything. Text that is not a
 * log line (a crash, a warning of Node) is printed as it is.
 */
export function logPrinter(options: {
  verbose: boolean
  colors: boolean
  write(text: string): void
}): (line: string) => void {
  const common = {
    colorize: options.colors,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'pid,hostname,service',
    messageFormat: (log: Record<string, unknown>) => messageOf(log as unknown as LogLine),
  }
  const brief = pretty.prettyFactory({ ...common, hideObject: true })
  const whole = pretty.prettyFactory(common)
  return (line) => {
    const log = parse(line)
    // The launcher prints why a start failed.
    if (log?.level === levels.fatal) return
    if (!log || log.level >= levels.error) options.write(whole(line))
    else if (options.verbose || log.level >= levels.warn) options.write(brief(line))
  }
}

/** Why the services did not start, as run-services.ts logs it. */
export function fatalReason(log: string): string | undefined {
  return log
    .split('\n')
    .map(parse)
    .findLast((line) => line?.level === levels.fatal)?.msg
}

const messageOf = ({ service, msg = '', err }: LogLine) =>
  [service && `[${service}]`, [msg, err?.message].filter(Boolean).join(': ')].filter(Boolean).join(' ')

function parse(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const value = JSON.parse(line) as LogLine
    return typeof value.level === 'number' ? value : undefined
  } catch {
    return undefined
  }
}
