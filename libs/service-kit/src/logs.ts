import { type Logger, pino } from 'pino'

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

/** A logger whose lines never hold the secrets of the API, wherever they stand in a logged object. */
export function createLogger(options: { service: string; level: string; format: 'json' | 'pretty' }): Logger {
  return pino({
    level: options.level,
    base: { service: options.service },
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
