import { spawnSync } from 'node:child_process'
import { test } from 'tap'

/** Lines that a logger writes; it writes to the output of its process. */
function linesOf(code: string): Record<string, unknown>[] {
  const head =
    "import { createLogger } from '@im/service-kit'; const log = createLogger({ service: 'x', level: 'info', format: 'json' });"
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', head + code], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  })
  if (stderr) throw new Error(stderr)
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

test('an error of a unique index is logged without the value that is there already', async (t) => {
  const [line] = linesOf(`
    const message = 'E11000 duplicate key error collection: im_user.users index: telephone_1 dup key: { telephone: "8613800000001" }'
    const error = Object.assign(new Error(message), {
      code: 11000, keyPattern: { telephone: 1 }, keyValue: { telephone: '8613800000001' },
      errorResponse: { errmsg: message, keyValue: { telephone: '8613800000001' } },
      writeErrors: [{ err: { errmsg: message } }],
    })
    log.warn({ err: error }, 'a write failed')
    log.warn({ err: new Error('outer', { cause: error }) }, 'a write failed')`)
  const text = JSON.stringify(line)
  t.match(text, /telephone_1 dup key/)
  t.notMatch(text, /8613800000001/)
  const [, caused] = linesOf(`
    const error = Object.assign(new Error('x dup key: { telephone: "8613800000001" }'), { keyValue: { telephone: '8613800000001' } })
    log.warn('first'); log.warn({ err: new Error('outer', { cause: error }) }, 'second')`)
  t.match(caused, { msg: 'second' })
  t.notMatch(JSON.stringify(caused), /8613800000001/)
})

test('secrets are never logged, wherever they stand', async (t) => {
  const [line] = linesOf(
    "log.info({ password: 'p-1', params: { access_token: 'p-2', more: { smsCode: 'p-3' } } }, 'x')",
  )
  t.notMatch(JSON.stringify(line), /p-[123]/)
})
