import { createHash } from 'node:crypto'
import { type Test, test } from 'tap'
import { phpUrlEncode, signBaidu } from '../../src/providers/baidu.ts'
import { retryAfterOf } from '../../src/providers/http-client.ts'
import { signMeizu } from '../../src/providers/meizu.ts'
import { signOppo } from '../../src/providers/oppo.ts'
import type { ProviderName } from '../../src/providers/provider.ts'
import { signVivo } from '../../src/providers/vivo.ts'
import { startApns } from './apns-server.ts'
import { startBaidu } from './baidu-server.ts'
import { startFcm } from './fcm-server.ts'
import { startHonor } from './honor-server.ts'
import { startHuawei } from './huawei-server.ts'
import { startJPush } from './jpush-server.ts'
import { startMeizu } from './meizu-server.ts'
import { startOppo } from './oppo-server.ts'
import { startChannels, target } from './start-channels.ts'
import { startVendorServer, type Vendor, vendorParts } from './vendor.ts'
import { startVivo } from './vivo-server.ts'
import { startXiaomi } from './xiaomi-server.ts'

/** What the channel makes of each answer for one token. Each gets a channel of its own, because some hold the whole channel. */
async function expectKinds(t: Test, vendor: Vendor, kinds: Record<string, string>): Promise<void> {
  const { provider, device } = vendor
  await Promise.all(
    Object.entries(kinds).map(async ([code, kind], index) => {
      const token = vendor.token(100 + index)
      vendor.answers.set(token, code)
      const { send } = await startChannels(t, vendor.env)
      // A provider that is slow is waited for until the notification expires.
      const expiresAt = Date.now() + (kind === 'expired' ? 1000 : 3_600_000)
      t.match(await send(provider, [target(token, { device })], { expiresAt }), [{ kind }], `${provider} ${code}`)
    }),
  )
  vendor.answers.clear()
}

test('signatures are those of the vendors', async (t) => {
  t.equal(
    signMeizu(
      {
        pushIds: 'RA50c6348036344485d01776773577c64740465480a6b',
        appId: '10000',
        messageJson: '{"title":"title","content":"content","pushTimeInfo":{"offLine":1,"validTime":24}}',
      },
      '<APP_SECRET>',
    ),
    'ac076ff25d9900015a681cb5172aa53b',
  )
  t.equal(
    signOppo('appkey1', 1_700_000_000_000, 'mastersecret1'),
    '334df34bb80a47b2ad13366b12c13337ed5bbfe56a0df4436d1f1dc28ceaf58a',
  )
  t.equal(
    signVivo(
      '10004',
      '25509283-3767-4b9e-83fe-b6e55ac6243e',
      1_501_484_120_000,
      '25509283-3767-4b9e-83fe-b6e55ac6b123',
    ),
    '3531bb60b6aa6c9b85311a4c46b103e1',
  )
  const published = [
    'POST',
    'https://push.safe.baidu.com/push/api/open/v1/message/broadcast',
    '{"message_type":2,"transmission":{"title":"hello","content":"hello world"}}',
    '10001',
    '1543310683',
    '79b7cdcd14db14e9cb498f1793817d69',
  ]
  t.equal(
    createHash('md5')
      .update(phpUrlEncode(published.join('')))
      .digest('hex'),
    '354e0bbf6a80b07b61bd9637e45b3a32',
  )
  t.equal(phpUrlEncode("a b*~!'()-_.中"), 'a+b%2A%7E%21%27%28%29-_.%E4%B8%AD')
  t.not(signBaidu('https://a/b', { x: '1' }, 's'), signBaidu('https://a/b', { x: '1' }, 's '))
})

test('what vendors leave empty they may also call null', async (t) => {
  const answers: Record<string, { env: Record<string, string>; body: object; kind: string }> = {
    xiaomi: {
      env: { PUSH_XIAOMI_SECRET: 's', PUSH_XIAOMI_PACKAGE: 'p' },
      body: { result: 'error', code: 22022, data: null },
      kind: 'credentials',
    },
    meizu: {
      env: { PUSH_MEIZU_APP_ID: '1', PUSH_MEIZU_SECRET: 's' },
      body: { code: '200', value: { '110002': null } },
      kind: 'accepted',
    },
    vivo: {
      env: { PUSH_VIVO_APP_ID: '1', PUSH_VIVO_APP_KEY: 'k', PUSH_VIVO_APP_SECRET: 's' },
      body: { result: 0, authToken: 'a', taskId: 't', invalidUser: null, invalidUsers: null },
      kind: 'accepted',
    },
    honor: {
      env: { PUSH_HONOR_APP_ID: '1', PUSH_HONOR_CLIENT_ID: 'c', PUSH_HONOR_CLIENT_SECRET: 's' },
      body: { access_token: 'a', expires_in: null, code: 200, data: null },
      kind: 'accepted',
    },
  }
  for (const [name, { env, body, kind }] of Object.entries(answers)) {
    const url = await startVendorServer(t, vendorParts(), { isSend: () => true, answer: () => ({ body }) })
    const urls = { [`PUSH_${name.toUpperCase()}_URL`]: url, PUSH_HONOR_OAUTH_URL: url }
    const { send } = await startChannels(t, { ...env, ...urls })
    t.match(await send(name as ProviderName, [target('a')]), [{ kind }], name)
  }
})

test('a server that asks for a long wait is not waited for longer than a notification lives', (t) => {
  const hour = 3_600_000
  for (const text of ['3601', '9'.repeat(20), '9'.repeat(400), 'Fri, 31 Dec 9999 23:59:59 GMT'])
    t.equal(retryAfterOf(text), hour, text)
  t.equal(retryAfterOf('7'), 7000)
  t.equal(retryAfterOf('Thu, 01 Jan 1970 00:00:07 GMT', 5000), 2000)
  t.equal(retryAfterOf('Thu, 01 Jan 1970 00:00:01 GMT'), 0)
  for (const nothing of [undefined, '', 'soon']) t.equal(retryAfterOf(nothing), undefined)
  t.end()
})

test('fcm', async (t) => {
  await expectKinds(t, await startFcm(t), {
    ...{ UNREGISTERED: 'dead', SENDER_ID_MISMATCH: 'dead', INVALID_ARGUMENT: 'dead', fieldViolation: 'bad' },
    ...{ QUOTA_EXCEEDED: 'expired', UNAVAILABLE: 'expired', INTERNAL: 'retry', UNSPECIFIED_ERROR: 'bad' },
    ...{ THIRD_PARTY_AUTH_ERROR: 'credentials', PERMISSION_DENIED: 'credentials' },
  })
})

test('huawei', async (t) => {
  await expectKinds(t, await startHuawei(t), {
    ...{ illegal: 'dead', '80300007': 'dead', '80300029': 'expired', '81000001': 'retry', '80600003': 'retry' },
    ...{ '80300002': 'credentials', '80300011': 'credentials', '80300037': 'credentials', '80200001': 'credentials' },
    ...{ '80300008': 'bad', '80100016': 'bad', '80100003': 'bad', '99999999': 'bad' },
  })
  await expectKinds(t, await startHuawei(t, 'v3'), {
    ...{ tokenFormatError: 'dead', tokenPlatformNotSupport: 'dead', '80200005': 'credentials' },
    ...{ noPushTypeRight: 'credentials', noRight: 'credentials', appinfoError: 'credentials' },
  })
})

/** Codes by which a vendor refuses a whole call because of one of its tokens. */
const wholeCalls: [(t: Test) => Promise<Vendor>, string, string][] = [
  [startHuawei, '80300007', 'dead'],
  [startXiaomi, '10029', 'dead'],
  [startVivo, '10054', 'dead'],
  [startMeizu, 'top 110003', 'dead'],
  [startOppo, 'whole 10000', 'dead'],
  [startOppo, 'whole 10001', 'paused'],
  [startJPush, 'invalid', 'dead'],
]

test('a token for which a call is refused whole is found, and keeps nothing from the others', async (t) => {
  for (const [start, code, kind] of wholeCalls) {
    const vendor = await start(t)
    const { send } = await startChannels(t, vendor.env)
    const [one, two, three] = [1, 2, 3].map((number) => vendor.token(number)) as [string, string, string]
    vendor.answers.set(two, code)
    const found = await send(
      vendor.provider,
      [one, two, three].map((token) => target(token)),
    )
    t.match(found, [{ kind: 'accepted' }, { kind }, { kind: 'accepted' }], `${vendor.provider} ${code}`)
    t.strictSame(vendor.shown.map(({ token }) => token).sort(), [one, three].sort(), 'each once')
    t.strictSame(vendor.problems, [])
  }
})

/** Codes by which a vendor may refuse one device again and again. `many`: however many there are of its kind. */
const refusedDevices: [(t: Test) => Promise<Vendor>, string, 'many'?][] = [
  [startApns, 'BadTopic'],
  [startFcm, 'PERMISSION_DENIED'],
  [startFcm, 'THIRD_PARTY_AUTH_ERROR', 'many'],
  [startHuawei, '80300002'],
  [(t) => startHuawei(t, 'v3'), 'noPushTypeRight', 'many'],
  [startXiaomi, '22022'],
  [startOppo, '28'],
  [startVivo, '10094'],
  [startMeizu, 'top 1006'],
  [startBaidu, '30603'],
  [startJPush, '1004'],
]

test('one device that a vendor refuses again and again keeps nothing from the others', async (t) => {
  for (const [start, code, many] of refusedDevices) {
    const vendor = await start(t)
    const { provider, device } = vendor
    const { send, metric } = await startChannels(t, vendor.env)
    for (let times = 1; times <= 5; times++) {
      const token = vendor.token(many ? times : 1)
      vendor.answers.set(token, code)
      t.match(await send(provider, [target(token, { device })]), [{ kind: 'credentials' }], `${provider} ${code}`)
    }
    t.match(await send(provider, [target(vendor.token(9), { device })]), [{ kind: 'accepted' }], `${provider} ${code}`)
    t.match(await metric('im_push_circuit_open'), new RegExp(`provider="${provider}"[^\\n]*} 0`))
  }
})

test('huawei: a class needs the right to it', async (t) => {
  const vendor = await startHuawei(t)
  const { send } = await startChannels(t, vendor.env)
  const targets = [1, 2].map((number) => target(vendor.token(number)))
  await send('huawei', targets, { kind: 'call' })
  t.match(vendor.shown[0]?.more, { category: 'VOIP' })
  vendor.mayClassify.is = false
  t.match(await send('huawei', targets), [{ kind: 'credentials' }, { kind: 'credentials' }])
})

test('huawei: phones with HarmonyOS 5 are reached by API v3 beside the others', async (t) => {
  const vendor = await startHuawei(t, 'v2+v3')
  const { send } = await startChannels(t, vendor.env)
  const tokens = [vendor.token(1), 'next-1', 'next-2']
  vendor.answers.set('gone', 'tokenFormatError')
  const found = await send(
    'huawei',
    [...tokens, 'gone'].map((token) => target(token)),
  )
  t.match(found, [{ kind: 'accepted' }, { kind: 'accepted' }, { kind: 'accepted' }, { kind: 'dead' }])
  t.strictSame(vendor.shown.map(({ token }) => token).sort(), tokens.toSorted())
  t.strictSame(vendor.problems, [])
})

test('honor', async (t) => {
  await expectKinds(t, await startHonor(t), { expired: 'dead', failed: 'bad', '80300010': 'bad' })
})

test('xiaomi', async (t) => {
  const vendor = await startXiaomi(t)
  await expectKinds(t, vendor, {
    ...{ bad: 'dead', '10029': 'dead', '10027': 'expired', '10002': 'expired', '10034': 'quota', '200001': 'quota' },
    ...{ '10001': 'retry', '22000': 'credentials', '22022': 'credentials', '27001': 'credentials' },
    ...{ '10016': 'bad', '26006': 'bad', '65003': 'bad' },
  })
  const { send } = await startChannels(t, vendor.env)
  const to = [target(vendor.token(1))]
  vendor.answers.set(vendor.token(1), 'unsent')
  t.match(await send('xiaomi', to), [{ kind: 'bad' }], 'not sent: it may be another fault')
  t.match(await send('xiaomi', to), [{ kind: 'dead' }], 'twice in a row')
  vendor.answers.clear()
  await send('xiaomi', to, { kind: 'call' })
  t.match(vendor.shown.at(-1)?.more, { 'extra.channel_id': 'call-1' })
})

test('oppo', async (t) => {
  const vendor = await startOppo(t)
  await expectKinds(t, vendor, {
    ...{ '10000': 'dead', '10001': 'paused', '-2': 'expired', '13': 'expired', '33': 'quota', '-1': 'retry' },
    ...{ '11': 'credentials', '28': 'credentials', '30': 'credentials', '67': 'bad', '10002': 'bad', '32': 'accepted' },
  })
  const { send } = await startChannels(t, vendor.env)
  const to = [target(vendor.token(1))]
  const id = 'e'.repeat(32)
  for (let times = 0; times < 2; times++) t.match(await send('oppo', to, { id }), [{ kind: 'accepted' }])
  t.equal(vendor.shown.length, 1, 'the same message is shown once')
  await send('oppo', to, { id, kind: 'withdrawn', body: '字'.repeat(60) })
  t.match(vendor.shown[1], { body: '字'.repeat(60), more: { style: 2 } }, 'its withdrawal is another message')
})

test('vivo', async (t) => {
  const vendor = await startVivo(t)
  await expectKinds(t, vendor, {
    ...{ 'user 1': 'dead', 'user 2': 'dead', '10302': 'dead', '10054': 'dead', '10072': 'expired', '10070': 'quota' },
    ...{ '10040': 'retry', '10000': 'credentials', '10094': 'credentials', '10085': 'bad', '10071': 'bad' },
  })
  const { send } = await startChannels(t, vendor.env)
  await send('vivo', [target(vendor.token(1))], { title: '好'.repeat(30), body: `${'a'.repeat(99)}好` })
  t.match(vendor.shown[0], { title: '好'.repeat(20), body: 'a'.repeat(99) }, 'a Chinese character counts twice')
})

test('meizu', async (t) => {
  const vendor = await startMeizu(t)
  await expectKinds(t, vendor, {
    ...{ '110002': 'dead', '110003': 'dead', '110010': 'paused', '201': 'paused', '519': 'slow', '520': 'slow' },
    ...{ '110011': 'quota', '501': 'retry', '110005': 'bad', 'top 110010': 'expired', 'top 1003': 'expired' },
    ...{ 'top 110019': 'quota', 'top 1001': 'retry', 'top 1006': 'credentials', 'top 110033': 'credentials' },
    ...{ 'top 110004': 'bad', 'top 110003': 'dead' },
  })
  const { send } = await startChannels(t, vendor.env)
  const many = Array.from({ length: 250 }, (_, number) => target(vendor.token(number)))
  const calls = vendor.calls.send
  t.strictSame(new Set((await send('meizu', many)).map(({ kind }) => kind)), new Set(['accepted']))
  t.equal(vendor.calls.send - calls, 3)
})

test('baidu', async (t) => {
  const vendor = await startBaidu(t)
  await expectKinds(t, vendor, {
    ...{ '30608': 'dead', '30604': 'expired', '30600': 'retry', '30603': 'credentials', '30606': 'credentials' },
    ...{ '30602': 'bad', '30605': 'bad' },
  })
  const { PUSH_BAIDU_IOS_KEY: _, PUSH_BAIDU_IOS_SECRET: __, ...android } = vendor.env
  const { send } = await startChannels(t, android)
  const both = [target('1'), target('2', { device: 'ios' })]
  t.match(await send('baidu', both), [{ kind: 'accepted' }, { kind: 'bad' }], 'a platform without keys')
})

test('jpush', async (t) => {
  const vendor = await startJPush(t)
  await expectKinds(t, vendor, {
    ...{ '1011': 'dead', invalid: 'dead', '2002': 'expired', '2005': 'quota', '1000': 'retry', '1030': 'retry' },
    ...{ '1004': 'credentials', '2007': 'credentials', '1005': 'bad', '1009': 'bad' },
  })
  const { send } = await startChannels(t, vendor.env)
  const both = [target('a'), target('b', { device: 'ios' })]
  const id = 'f'.repeat(32)
  for (let times = 0; times < 2; times++)
    t.match(await send('jpush', both, { id }), [{ kind: 'accepted' }, { kind: 'accepted' }])
  t.equal(vendor.shown.length, 2, 'a call whose answer was lost sends nothing twice')
  t.match(vendor.shown[0]?.more, { platform: ['android', 'ios'], options: { apns_production: true } })
})
