import { test } from 'tap'
import { startProsody } from './prosody.ts'

test('a secret that is missing, empty or half keeps the server from starting, with a line that names it', async (t) => {
  const prosody = await startProsody(t)
  await prosody.end('SIGTERM')
  const whole = { SERVICE_KEY: 'a'.repeat(16), XMPP_COMPONENT_SECRET: 'b'.repeat(16) }
  for (const name of ['SERVICE_KEY', 'XMPP_COMPONENT_SECRET']) {
    await t.rejects(prosody.start({ ...whole, [name]: '' }), new RegExp(`Error: ${name} is not set: `))
    const half = new RegExp(`Error: ${name} must have at least 16 characters: `)
    await t.rejects(prosody.start({ ...whole, [name]: 'half' }), half)
    await t.rejects(prosody.start({ ...whole, [name]: `${'a'.repeat(16)},half` }), half, 'also of a second one')
  }
})
