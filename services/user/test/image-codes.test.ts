import { errors } from '@im/contracts'
import { smsCodes } from '@im/contracts/user'
import { connectRedis } from '@im/service-kit'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('with image codes on, a code is sent only to who can read the image, once', async (t) => {
  const user = await startUser(t, { SMS_IMAGE_CODE: 'true', LIMIT_FACTOR: '1' })
  const redis = await connectRedis({ url: user.env['REDIS_URL'] ?? '', namespace: user.env['NAMESPACE'] ?? '' })
  t.after(() => redis.disconnect())
  /** Shows an image; what stands in it is read where the service keeps it. */
  async function look(phone: string): Promise<string> {
    const answer = await fetch(`${user.url}/getImgCode?telephone=86${phone}`)
    t.strictSame(
      [answer.status, answer.headers.get('content-type'), answer.headers.get('cache-control')],
      [200, 'image/png', 'no-store'],
    )
    const png = Buffer.from(await answer.arrayBuffer())
    t.equal(png.toString('latin1', 1, 4), 'PNG')
    t.strictSame([png.readUInt32BE(16), png.readUInt32BE(20)], [140, 50])
    const code = (await redis.hget(`image-code:86:${phone}`, 'code')) ?? ''
    t.match(code, /^[A-Z0-9]{4}$/)
    return code
  }
  const ask = async (telephone: string, imgCode?: string) =>
    (await user.api.envelope(smsCodes.sendSms, { telephone, imgCode })).resultCode

  const phone = user.nextPhone()
  t.equal(await ask(phone), errors.ImageCodeMissing.code)
  t.equal(await ask(phone, 'ABCD'), errors.ImageCodeWrong.code, 'none was shown')
  const first = await look(phone)
  const code = await look(phone)
  if (first !== code) t.equal(await ask(phone, first), errors.ImageCodeWrong.code, 'a new image replaces the old')
  t.equal(await ask(phone, code.toLowerCase()), 1)
  t.equal(await ask(phone, code), errors.ImageCodeWrong.code, 'it is used up')

  const other = user.nextPhone()
  const right = await look(other)
  const wrong = await Promise.all(Array.from({ length: 12 }, (_, n) => ask(other, `000${n % 10}`)))
  t.ok(wrong.every((resultCode) => resultCode === errors.ImageCodeWrong.code))
  t.equal(await ask(other, right), errors.ImageCodeWrong.code, 'void after five wrong answers')
  const bad = await fetch(`${user.url}/getImgCode?telephone=12`)
  t.equal(((await bad.json()) as { resultCode: number }).resultCode, errors.TelephoneInvalid.code)
})
