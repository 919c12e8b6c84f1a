import { type Endpoint, errors, type ResultOf } from '@im/contracts'
import { accountBroadcasts } from '@im/contracts/push'
import {
  accountFans,
  accountMenus,
  accountMessages,
  accountReplies,
  accountSends,
  accountSession,
  follows,
  pairOf,
  publicAccounts,
} from '@im/contracts/social'
import { eventually, failure, type WireParams } from '@im/service-kit/testing'
import { MongoClient } from 'mongodb'
import { test } from 'tap'
import { startJourney } from '../src/journey.ts'
import type { TestStack } from '../src/stack.ts'

const fans = 1000
const withOp = <E extends Endpoint>(endpoint: E, op: string): E => ({
  ...endpoint,
  path: endpoint.path.replace(':op', op),
})

test('a public account', async (t) => {
  const env = { ALLOW_PUBLIC_REGISTER: 'true', BROADCAST_PACE: '400' }
  const { stack, people } = await startJourney(t, { apart: ['push', 'message'], env })
  const news = await people.register('news', undefined, { userType: 2 })

  const logIn = () => people.api.call(accountSession.logIn, { username: news.telephone, password: news.password })
  let token: string | undefined
  const call = async <E extends Endpoint>(endpoint: E, params?: WireParams<E>): Promise<ResultOf<E>> => {
    token ??= (await logIn()).access_token
    return await people.api.call(endpoint, params, { token })
  }
  const follower = async (name: string) => {
    const person = await people.register(name)
    await person.call(follows.follow, { toUserId: news.userId })
    return person
  }

  t.test('logs in with a cookie, and changes something with a CSRF token only', async (t) => {
    const http = (path: string, options: RequestInit = {}) =>
      fetch(stack.gatewayUrl + path, { redirect: 'manual', ...options })
    const form = { username: news.telephone, password: news.password }
    const opened = await http('/mp/login', { method: 'POST', body: new URLSearchParams(form) })
    const { data } = (await opened.json()) as { data: ResultOf<typeof accountSession.logIn> }
    const [cookie = ''] = opened.headers.getSetCookie()
    t.match(cookie, /^mp_token=[0-9a-f]{32}; Path=\/; HttpOnly; SameSite=Strict$/)
    t.equal(opened.headers.get('access-control-allow-origin'), null)
    const headers = { cookie: cookie.split(';')[0]! }
    const codeOf = async (path: string, options: RequestInit = {}) =>
      ((await (await http(path, options)).json()) as { resultCode: number }).resultCode
    t.equal(await codeOf('/mp/home', { headers }), 1)
    t.equal(await codeOf('/user/get', { headers }), errors.TokenMissing.code, 'no app call')
    t.equal(await codeOf(`/user/get?access_token=${data.access_token}`), errors.PermissionDenied.code)
    t.equal(await codeOf(`/mp/home?access_token=${news.token}`), errors.PermissionDenied.code, 'an app token')
    const save = { method: 'POST', body: new URLSearchParams({ name: 'm' }) }
    for (const path of ['/mp/menu/save', '/mp/textToAll', '/mp/logout', '/mp/broadcasts/cancel', '/mp/replies/welcome'])
      t.equal(await codeOf(path, { ...save, headers }), errors.PermissionDenied.code, path)
    t.equal(
      await codeOf('/mp/menu/save?name=m', { headers: { ...headers, 'x-csrf-token': data.csrfToken } }),
      errors.PermissionDenied.code,
      'GET',
    )
    t.equal(await codeOf('/mp/menu/save', { ...save, headers: { ...headers, 'x-csrf-token': data.csrfToken } }), 1)

    const browser = { accept: 'text/html', ...headers }
    const page = await http('/mp/home', { headers: browser })
    t.match(page.headers.get('content-type'), /text\/html/)
    t.match(await page.text(), /name="csrf-token" content="[0-9a-f]{64}"/)
    const sent = await http('/mp/login', {
      method: 'POST',
      body: new URLSearchParams(form),
      headers: { accept: 'text/html' },
    })
    t.strictSame([sent.status, sent.headers.get('location')], [303, '/mp/home'])
    t.strictSame((await http('/mp/home', { headers: { accept: 'text/html' } })).headers.get('location'), '/mp/login')

    const out = await http('/mp/logout', { method: 'POST', headers: { ...headers, 'x-csrf-token': data.csrfToken } })
    t.match(out.headers.getSetCookie()[0], /Max-Age=0/)
    t.equal(await codeOf('/mp/home', { headers }), errors.TokenInvalid.code)
  })

  t.test('makes a menu that apps read with all digits', async (t) => {
    const alice = await people.register('alice')
    await call(withOp(accountMenus.changeMenu, 'save'), { name: '<b>news</b>', url: 'https://news.test/' })
    const query = `access_token=${alice.token}&userId=${news.userId}`
    const text = await (await fetch(`${stack.gatewayUrl}${publicAccounts.listMenus.path}?${query}`)).text()
    t.match(text, /"id":\d{19}[,}]/)
    t.match(text, /"name":"<b>news<\/b>"/)
  })

  t.test('welcomes, answers words, reads what was asked and replies', async (t) => {
    await call(withOp(accountReplies.changeReplies, 'welcome'), { content: 'welcome!' })
    await call(withOp(accountReplies.changeReplies, 'save'), { words: 'price', content: 'it is free' })
    const bob = await follower('bob')
    const phone = await bob.phone()
    const welcome = await phone.hears(({ content }) => content === 'welcome!', 20_000)
    t.match(welcome, { from: `${news.userId}@${stack.xmppDomain}`, type: 1 })
    await phone.say(news.userId, 'What is the PRICE?')
    await phone.hears(({ content }) => content === 'it is free', 20_000)
    await phone.say(news.userId, 'and why?')
    const rows = await eventually(async () => {
      const { pageData } = await call(accountMessages.listWriters)
      return pageData[0]?.content === 'and why?' ? pageData : undefined
    }, 20_000)
    t.match(rows, [{ sender: bob.userId, nickname: 'bob', count: 2 }])
    t.match(await call(accountSession.showHome), { msgCount: 2, userCount: 1 })
    const { access_token, csrfToken } = await logIn()
    const read = (more = {}) =>
      fetch(`${stack.gatewayUrl}${accountMessages.listChat.path}?toUserId=${bob.userId}`, {
        headers: { cookie: `mp_token=${access_token}`, ...more },
      })
    t.equal((await read()).status, 200)
    t.match(await call(accountSession.showHome), { msgCount: 2 }, 'a page of somebody else may have asked for it')
    await read({ 'x-csrf-token': csrfToken })
    t.match(await call(accountSession.showHome), { msgCount: 0 })
    const chat = await call(accountMessages.listChat, { toUserId: bob.userId })
    t.strictSame(
      chat.pageData.map(({ content }) => content),
      ['and why?', 'it is free', 'What is the PRICE?', 'welcome!'],
    )
    t.match(await call(accountSession.showHome), { msgCount: 0, userCount: 0 })
    await call(accountMessages.sendReply, { toUserId: bob.userId, body: 'because' })
    await phone.hears(({ content }) => content === 'because')
    const carol = await people.register('carol')
    await t.rejects(call(accountMessages.sendReply, { toUserId: carol.userId, body: 'x' }), failure('NotFriends'))
    t.equal(phone.received.filter(({ content }) => content === 'it is free').length, 1)
    await call(accountFans.deleteFan, { toUserId: bob.userId })
    await phone.hears(({ type, from }) => type === 505 && from.startsWith(String(news.userId)), 20_000)
    await phone.hangUp()
  })

  t.test(`broadcasts an article to ${fans} fans, each gets it once though services are killed`, async (t) => {
    const [dave, erin] = [await follower('dave'), await follower('erin')]
    const phone = await dave.phone()
    const seeded = await seedFans(stack, news.userId, fans - 2)
    const article = { title: '<b>news</b>', sub: 'today', img: 'https://news.test/i.png', url: 'https://news.test/1' }
    t.strictSame(await call(accountSends.sendArticleToAll, article), { count: fans })
    const progress = async () => (await call(accountBroadcasts.listAccountBroadcasts)).pageData[0]!
    await eventually(async () => (await progress()).done >= 90, 30_000)
    await stack.kill('push')
    await stack.restart('push')
    await eventually(async () => (await progress()).done >= 270, 60_000)
    await stack.kill('message')
    await stack.restart('message')
    const ended = await eventually(async () => {
      const now = await progress()
      return now.state === 'done' ? now : undefined
    }, 90_000)
    t.match(ended, { of: fans, done: fans, failed: 0, type: 80, content: JSON.stringify(article) })

    const counts = await countArticles(stack, news.userId)
    t.strictSame(new Set(counts.keys()), new Set([dave.userId, erin.userId, ...seeded]))
    t.strictSame([counts.size, [...counts].filter(([, count]) => count !== 1)], [fans, []])
    await phone.hears(({ type }) => type === 80, 20_000)
    const late = await erin.phone()
    await late.hears(({ type, content }) => type === 80 && content === JSON.stringify(article), 20_000)
    const ids = phone.received.filter(({ type }) => type === 80).map(({ id }) => id)
    t.equal(new Set(ids).size, 1, 'one message, however often a device was given it')
    await Promise.all([phone.hangUp(), late.hangUp()])
  })
})

/** How many articles of an account the archive has for each user. */
async function countArticles(stack: TestStack, account: number): Promise<Map<number, number>> {
  const mongo = new MongoClient(stack.env['MONGODB_URL'] ?? '')
  try {
    const messages = mongo.db(`${stack.env['NAMESPACE'] ?? 'im'}_message`).collection<{ to: number }>('messages')
    const counts = new Map<number, number>()
    for await (const { to } of messages.find({ from: account, contentType: 80 }))
      counts.set(to, (counts.get(to) ?? 0) + 1)
    return counts
  } finally {
    await mongo.close()
  }
}

/** Rows of users who follow an account. Nobody needs to have registered to be sent something. */
async function seedFans(stack: TestStack, account: number, count: number): Promise<number[]> {
  const mongo = new MongoClient(stack.env['MONGODB_URL'] ?? '')
  try {
    const rows = mongo.db(`${stack.env['NAMESPACE'] ?? 'im'}_social`).collection('relations')
    const fans = Array.from({ length: count }, (_, n) => 20_000_001 + n)
    const at = Math.floor(Date.now() / 1000) - 60
    await rows.insertMany(
      fans.map((userId) => ({
        ...{ pair: pairOf(userId, account), userId, toUserId: account, status: 1, blacklist: 0, isBeenBlack: 0 },
        ...{ createTime: at, modifyTime: at },
      })),
    )
    return fans
  } finally {
    await mongo.close()
  }
}
