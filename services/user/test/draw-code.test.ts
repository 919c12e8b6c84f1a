import { test } from 'tap'
import { drawCode } from '../src/sms/draw-code.ts'

test('codes are drawn without look-alikes, another one each time', async (t) => {
  const drawn = await Promise.all(Array.from({ length: 200 }, drawCode))
  for (const { code } of drawn) t.match(code, /^[ABCDEFGHJKMNPQRTUVWXY346789]{4}$/)
  t.ok(new Set(drawn.map(({ code }) => code)).size > 190)
  t.equal(new Set(drawn.map(({ png }) => Buffer.from(png).toString('base64'))).size, 200)
})

test('a code takes the thread of the calls less than 2 ms', async (t) => {
  await drawCode()
  const before = process.threadCpuUsage()
  for (let n = 0; n < 50; n++) await drawCode()
  const { user, system } = process.threadCpuUsage(before)
  // Looking for the fonts of the system alone took up to 15 ms.
  t.ok((user + system) / 50 < 2000, `${(user + system) / 50} µs`)
})
