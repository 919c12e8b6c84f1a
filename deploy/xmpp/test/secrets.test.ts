import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'tap'
import { alice, Client, plainSecret } from './client.ts'
import { passwordOf, startProsody } from './prosody.ts'

test('a secret that is missing, empty or half keeps the server from starting, with a line that names it', async (t) => {
  const prosody = await startProsody(t)
  await prosody.end('SIGTERM')
  const whole = { SERVICE_KEY: 'a'.repeat(16), XMPP_COMPONENT_SECRET: 'b'.repeat(16) }
  for (const name of ['SERVICE_KEY', 'XMPP_COMPONENT_SECRET']) {
    await t.rejects(prosody.start({ ...whole, [name]: '' }), new RegExp(`Error: ${name} is not set: `))
    const half = new RegExp(`Error: ${name} must have at least 16 characters: `)
    await t.rejects(prosody.start({ ...whole, [name]: 'half' }), half)
    await t.rejects(prosody.start({ ...whole, [name]: `${'a'.repeat(16)},half` }), half, 'also of a second one')
    await t.rejects(prosody.start({ ...whole, [name]: `${'a'.repeat(15)}\n` }), half, 'the end of a line is none of it')
  }
})

test('a certificate that is missing, half or of another key keeps the server from starting: without TLS nobody could log in', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'im-certificates-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [crt, key, otherKey, half] = ['a.crt', 'a.key', 'b.key', 'half.crt'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ]
  const make = (keyout: string, out: string) =>
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'].concat([
        '-subj',
        '/CN=im.test',
        '-keyout',
        keyout,
        '-out',
        out,
      ]),
      { stdio: 'ignore' },
    )
  make(otherKey, crt)
  make(key, crt)
  await writeFile(half, '-----BEGIN CERTIFICATE-----\nMIIB')
  const prosody = await startProsody(t)
  await prosody.end('SIGTERM')
  const startWith = (XMPP_CERT: string, XMPP_KEY: string) => prosody.start({ XMPP_TLS: 'on', XMPP_CERT, XMPP_KEY })
  const missing = join(folder, 'missing')
  await t.rejects(startWith(missing, key), /Error: XMPP_CERT can't be read: .*missing: No such file/)
  await t.rejects(startWith(crt, missing), /Error: XMPP_KEY can't be read: .*missing: No such file/)
  await t.rejects(startWith(crt, ''), /Error: XMPP_CERT is set but XMPP_KEY is not/)
  await t.rejects(startWith('', key), /Error: XMPP_KEY is set but XMPP_CERT is not/)
  for (const pair of [
    [half, key],
    [crt, otherKey],
    [key, crt],
  ] as const)
    await t.rejects(startWith(...pair), /Error: XMPP_CERT and XMPP_KEY are no certificate with its key: /)
  await startWith(crt, key)
})

test('a setting that nobody can mean is refused: a typing error must not leave TLS off, or logins in the dark', async (t) => {
  const prosody = await startProsody(t)
  await prosody.end('SIGTERM')
  for (const [env, line] of [
    [{ XMPP_TLS: 'yes' }, 'XMPP_TLS must be on or off, not yes'],
    [{ XMPP_TLS: 'on', XMPP_REQUIRE_TLS: 'yes' }, 'XMPP_REQUIRE_TLS must be true or false, not yes'],
    [{ XMPP_REQUIRE_TLS: 'false', LIMIT_FACTOR: 'much' }, 'LIMIT_FACTOR is not a number'],
    [{ LIMIT_FACTOR: '', USER_URL: 'user:8101' }, 'USER_URL must be such as http://user:8101, not user:8101'],
    [{ USER_URL: '', XMPP_MAX_ARRIVALS: '0.5' }, 'XMPP_MAX_ARRIVALS must be a whole number above 0'],
    [{ XMPP_MAX_ARRIVALS: '', XMPP_LOG_LEVEL: 'loud' }, 'XMPP_LOG_LEVEL must be debug, info, warn or error, not loud'],
    [{ XMPP_LOG_LEVEL: '', XMPP_DOMAIN: 'im test' }, 'XMPP_DOMAIN must be such as im.example.com, not im test'],
    [
      { XMPP_DOMAIN: '', XMPP_TRUSTED_PROXIES: '10.0.0.0/8, proxy' },
      'XMPP_TRUSTED_PROXIES must be addresses or networks such as 10.0.0.0/8, not proxy',
    ],
  ] as const) {
    const error: Error = await prosody.start(env).then(
      () => new Error('it started'),
      (cause: Error) => cause,
    )
    t.match(error.message, `Error: ${line}`)
    t.notMatch(error.message, 'More help on configuring Prosody', 'that line alone')
  }
})

test('a server that can keep no log, or lacks a module, does not start: messages would be lost, and nobody had a limit', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'im-unwritable-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await mkdir(join(folder, 'data/lock'), { recursive: true })
  const unwritable = await startProsody(t)
  await unwritable.end('SIGTERM')
  await t.rejects(
    unwritable.start({ XMPP_DATA_DIR: join(folder, 'data') }),
    /Error: XMPP_DATA_DIR can't be written: .*lock: Is a directory/,
  )

  await cp(dirname(unwritable.configFile), join(folder, 'prosody'), { recursive: true })
  const lacking = join(folder, 'prosody/modules/mod_im_limits.lua')
  await writeFile(lacking, `error "out of order"\n${await readFile(lacking, 'utf8')}`)
  unwritable.configFile = join(folder, 'prosody/prosody.cfg.lua')
  await t.rejects(
    unwritable.start({ XMPP_DATA_DIR: join(folder, 'other') }),
    /out of order(.|\n)*Error: mod_im_\w+ could not be loaded; why is above/,
  )
  unwritable.log = '' // is judged at the end of each test
})

test('a port that somebody else has keeps the server from starting', async (t) => {
  const other = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  t.after(() => other.close())
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  for (const setting of ['XMPP_PORT', 'XMPP_HTTP_PORT', 'XMPP_COMPONENT_PORT']) {
    const again = await startProsody(t)
    await again.end('SIGTERM')
    await t.rejects(
      again.start({ [setting]: String(port) }),
      new RegExp(`Error: ${setting} could not be opened; why is above`),
    )
  }
})

test('what a client sends that nobody handles ends its stream and stands in no log', async (t) => {
  const prosody = await startProsody(t)
  const sasl = 'urn:ietf:params:xml:ns:xmpp-sasl'
  const secret = plainSecret(alice, passwordOf(alice))
  const text = 'what nobody else may read'
  for (const isBound of [false, true])
    for (const xml of [
      `<auth xmlns='${sasl}' mechanism='PLAIN'>${secret}</auth>`,
      `<message xmlns='jabber:server' to='${alice}@im.test'><body>${text}</body></message>`,
      `<message xmlns=''><body>${text}</body></message>`,
      `<x xmlns='urn:x'>${text}</x>`,
    ]) {
      const client = await new Client(prosody, alice).login()
      if (isBound) await client.bind()
      client.write(xml)
      t.equal(await client.streamError(), 'unsupported-stanza-type', xml)
      client.socket.destroy()
    }
  const stranger = await new Client(prosody, alice).connect()
  stranger.write(`<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>${secret}</authenticate>`)
  t.equal(await stranger.streamError(), 'unsupported-stanza-type')
  for (const [what, hidden] of Object.entries({ secret, text })) t.notOk(prosody.log.includes(hidden), what)
})
