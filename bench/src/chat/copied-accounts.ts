import { createHash, randomBytes } from 'node:crypto'
import { accounts } from '@im/contracts/user'
import { createTestClient } from '@im/service-kit/testing'
import { type Document, MongoClient } from 'mongodb'
import type { Account } from './xmpp-client.ts'

const firstUserId = 30_000_001
const atOnce = 1000

/**
 * Many accounts in a moment: one is registered, and its rows are copied under other ids and tokens. Registering each would take
 * a hash and a transaction, minutes for ten thousand.
 */
export async function copyAccounts(options: {
  userUrl: string
  mongoUrl: string
  database: string
  count: number
}): Promise<Account[]> {
  const api = createTestClient({ baseUrl: options.userUrl, timeout: 20_000 })
  const original = await api.call(accounts.register, {
    telephone: '13900000001',
    password: '5f4dcc3b5aa765d61d8327deb882cf99',
    nickname: '用户',
  })
  await api.close()
  const client = await MongoClient.connect(options.mongoUrl)
  try {
    const db = client.db(options.database)
    const [users, sessions] = [db.collection<Document>('users'), db.collection<Document>('sessions')]
    const user = await users.findOne({ _id: original.userId as never })
    const session = await sessions.findOne({ userId: original.userId })
    if (!user || !session) throw new Error('the rows of the registered account are not where they are looked for')
    const copies = Array.from({ length: options.count }, (_, index): Account => {
      return { userId: firstUserId + index, password: randomBytes(16).toString('hex') }
    })
    for (let first = 0; first < copies.length; first += atOnce) {
      const some = copies.slice(first, first + atOnce)
      await users.insertMany(
        some.map(({ userId }) => ({ ...user, _id: userId as never, loginNames: [], numberNames: [] })),
      )
      await sessions.insertMany(
        some.map(({ userId, password }) => ({
          ...session,
          _id: String(session['_id']).replace(/^\d+/, String(userId)) as never,
          userId,
          sessionId: createHash('sha256').update(password).digest('hex'),
        })),
      )
    }
    return copies
  } finally {
    await client.close()
  }
}
