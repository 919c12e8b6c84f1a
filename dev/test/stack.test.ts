import { test } from 'tap'
import { startStack } from '../src/stack.ts'
import { temporaryFolder } from './fake-machine.ts'

test('an empty setting is one that is not set: the default of the stack holds', async (t) => {
  const env = {
    CONSOLE_ADMIN_TELEPHONE: '',
    PUBLIC_API_URL: '',
    PUBLIC_FILE_URL: 'https://files.test/',
    SERVICE_KEY: '',
  }
  const stack = await startStack({
    ...{ dataDir: await temporaryFolder(t), ports: 'free', services: [], servers: [] },
    env,
  })
  t.after(() => stack.close())
  t.equal(stack.env['CONSOLE_ADMIN_TELEPHONE'], 'admin')
  t.equal(stack.env['PUBLIC_FILE_URL'], 'https://files.test/')
  t.match(stack.env['PUBLIC_API_URL'], /^http:\/\/127\.0\.0\.1:\d+\/$/)
  t.match(stack.env['SERVICE_KEY'], /^[0-9a-f]{48}$/)
})
