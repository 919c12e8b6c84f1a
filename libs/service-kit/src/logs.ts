import { type Logger, pino, stdSerializers } from 'pino'
import { currentRequestId } from './current-call.ts'
import { inSources } from './source-places.ts'
import { currentTraceId } from './tracing.ts'

export type { Logger }

const secretNames = [
  'access_token',
  'password',
  'oldPassword',
  'newPassword',
  'payPassword',
  'refresh_token',
  'token',
  'authorization',
  'cookie',
  'smsCode',
  'randcode',
  'verificationCode',
  'privateKey',
  'secret',
]

/** Adds the ids of the request and of the trace to lines that are written within one. */
const idsOfLine = () => {
  const [requestId, traceId] = [currentRequestId(), currentTraceId()]
  return { ...(requestId ? { requestId } : {}), ...(traceId ? { traceId } : {}) }
}

/** A logger whose lines never hold the secrets of the API, wherever they stand in a logged object. */
export function createLogger(options: { service: string; level: string; format: 'json' | 'pretty' }): Logger {
  return pino({
    level: options.level,
    base: { service: options.service },
    mixin: idsOfLine,
    serializers: { err: withoutPersonalData },
    redact: { paths: secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[secret]' },
    ...(options.format === 'pretty'
      ? {
          transport: {
            target: 'pino-pretty',
            options: {
              translateTime: 'HH:MM:ss.l',
              ignore: 'pid,hostname,service',
              messageFormat: '[{service}] {msg}',
            },
          },
        }
      : {}),
  })
}

/**
 * Standard output for many lines that are made elsewhere. They are written in blocks, a second late at most: a system call for
 * each line would cost more than the line.
 */
export const blockOutput = () => pino.destination({ fd: 1, sync: true, minLength: 4096, periodicFlush: 1000 })

/** MongoDB's message has the value that exists already, such as somebody's telephone or account. */
const duplicateKey = /dup key: .*/s

/** An error as it is logged: without the values that MongoDB adds to errors of unique indexes, and Node to errors of addresses. */
function withoutPersonalData(error: Error): object {
  const all = stdSerializers.err(error)
  const { keyValue: _value, errorResponse: _response, writeErrors: _writes, input: _input, base: _base, ...told } = all
  const clean = (text: unknown) => (typeof text === 'string' ? text.replace(duplicateKey, 'dup key') : text)
  return { ...told, message: clean(told.message), stack: clean(told.stack && inSources(told.stack)) }
}
