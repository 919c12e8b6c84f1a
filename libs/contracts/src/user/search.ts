import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Double, Int, List, PageIndex, PageSize, Text, Time, UserId } from '../param-types.ts'
import { UserCard } from './entities.ts'

const sex = () => Type.Optional(Int({ description: '0 female, 1 male; -1 or absent: all' }))
const age = () => Int({ default: 0, minimum: 0, maximum: 1000, description: 'full years, 0 open' })
const coordinate = (limit: number) => Type.Optional(Double({ minimum: -limit, maximum: limit }))
/** Blanks at the ends of a keyword mean nothing. */
const keyword = (description: string) => Type.Optional(Text({ trim: true, maxLength: 64, description }))
const page = { pageIndex: PageIndex(), pageSize: PageSize(10, 100) }
const cards = Type.Array(UserCard)

export const userSearch = contract('user', {
  searchUsers: {
    path: '/user/query',
    summary: { zh: '查询用户', en: 'Search users' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      userId: Type.Optional(UserId({ description: 'only users with a smaller userId' })),
      nickname: keyword('part of the nickname'),
      telephone: keyword('whole number'),
      sex: sex(),
      minAge: age(),
      maxAge: age(),
      startTime: Type.Optional(Time({ description: 'born not before' })),
      endTime: Type.Optional(Time({ description: 'born not after' })),
      ...page,
    }),
    result: cards,
    successText: { zh: '用户查询成功', en: 'OK' },
  },
  findNearby: {
    path: '/nearby/user',
    summary: { zh: '附近的用户、搜索用户', en: 'Users around, or users by a keyword' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      longitude: coordinate(180),
      latitude: coordinate(90),
      nickname: keyword('account, number or part of the nickname'),
      telephone: keyword('whole number'),
      sex: sex(),
      minAge: age(),
      maxAge: age(),
      active: Int({ default: 0, minimum: 0, description: 'seen within so many seconds, 0 open' }),
      birthday: Type.Optional(Time({ description: 'a day, by the clock of UTC+8' })),
      userId: Type.Optional(UserId()),
      distance: Type.Optional(Int({ minimum: 1, maximum: 500, description: 'km' })),
      ...page,
    }),
    result: cards,
  },
  listNewUsers: {
    path: '/nearby/newUser',
    summary: { zh: '最新注册的用户', en: 'Newest users' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      longitude: coordinate(180),
      latitude: coordinate(90),
      sex: sex(),
      minAge: age(),
      maxAge: age(),
      ...page,
    }),
    result: cards,
  },
})

/** Cards as a stranger sees them, for services that list users. */
export const internalCards = contract('user', {
  getCards: {
    path: '/internal/users/cards',
    summary: { zh: '用户名片', en: 'Cards of users' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ userIds: List({ item: UserId(), maxItems: 100 }) }),
    result: Type.Object({
      cards: Type.Array(UserCard, { description: 'deleted and locked users are absent; in the order of the ids' }),
    }),
  },
})
