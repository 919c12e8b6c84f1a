import type { Params } from '@im/contracts'
import type { ServerConfig, userSearch } from '@im/contracts/user'
import type { Filter } from 'mongodb'
import type { Deps } from '../deps.ts'
import { dayOf } from '../users/ages.ts'
import { loginNameCandidates } from '../users/login-names.ts'
import type { UserFilter } from '../users/searchable-users-repository.ts'
import type { UserDocument } from '../users/user-document.ts'
import { metresBetween } from './distance.ts'
import {
  countSearch,
  type Found,
  findExactly,
  listUsers,
  nameCriterion,
  rowsUpTo,
  showPage,
  type Viewing,
} from './find-users.ts'
import { criteria, fits, isListed } from './search-users.ts'

type Query = Params<(typeof userSearch)['findNearby']>

/** A position that is older (seconds) is shown to nobody. */
const positionSeconds = 7 * 86_400

/**
 * Finds users around a place, nearest first, or users by a keyword: those whom it names exactly, then those who have it in their
 * nickname (spec 05-nearby.md). Without a place and a keyword nobody is found.
 */
export async function findNearby(deps: Deps, query: Query, viewing: Viewing) {
  const { nickname, telephone, userId } = query
  const isKeyword = nickname !== undefined || telephone !== undefined
  if (isKeyword) await countSearch(deps, viewing.viewerId)
  const place = placeOf(query)
  const rows = rowsUpTo(query)
  if (!rows || !(place || isKeyword || userId !== undefined)) return []
  const config = await deps.serverConfig.get()
  const found = place
    ? await around(deps, query, { ...place, rows, viewerId: viewing.viewerId, config })
    : await byKeyword(deps, query, { rows, viewerId: viewing.viewerId, config })
  return showPage(deps, found, query, viewing)
}

/** 0/0 is what apps send when they do not know where they are. */
export function placeOf({ longitude, latitude }: Pick<Query, 'longitude' | 'latitude'>) {
  if (longitude === undefined || latitude === undefined || (longitude === 0 && latitude === 0)) return undefined
  return { longitude, latitude }
}

function filterOf(query: Query, viewerId: number, now: number): Omit<UserFilter, 'name'> {
  const { sex, minAge, maxAge, birthday } = query
  const day = birthday === undefined ? undefined : dayOf(birthday)
  return { ...criteria({ sex, minAge, maxAge, startTime: day?.from, endTime: day?.to }, now), except: viewerId }
}

interface Finding {
  rows: number
  viewerId: number
  config: ServerConfig
}

async function byKeyword(deps: Deps, query: Query, { rows, viewerId, config }: Finding): Promise<Found[]> {
  const { nickname, telephone, userId } = query
  const filter = filterOf(query, viewerId, deps.now())
  const isActive = activityCheck(query, deps.now())
  const also = (user: UserDocument) =>
    isListed(user, viewerId) && fits(user, filter) && isActive(user) && (userId === undefined || user._id === userId)
  const name = nickname === undefined || telephone !== undefined ? undefined : nameCriterion(nickname, config)
  const listing = { order: 1, rows, ...(query.active ? { also: isActive } : {}) } as const
  const [exact, named] = await Promise.all([
    exactMatches(deps, query, config),
    name && userId === undefined ? listUsers(deps, { ...filter, name }, listing) : [],
  ])
  const first = exact.filter(also).slice(0, rows)
  const known = new Set(first.map(({ _id }) => _id))
  return [...first, ...named.filter(({ _id }) => !known.has(_id))].map((user) => ({ user }))
}

/** Users whom the criteria name: by account, number or userId. When several are given, all must hold. */
async function exactMatches(deps: Deps, query: Query, config: ServerConfig): Promise<UserDocument[]> {
  const { nickname, telephone, userId } = query
  const text = telephone ?? nickname
  if (text !== undefined) return findExactly(deps, text, config, { account: telephone === undefined })
  return userId === undefined ? [] : [...(await deps.users.byIds([userId])).values()]
}

async function around(
  deps: Deps,
  query: Query,
  { longitude, latitude, rows, viewerId, config }: Finding & { longitude: number; latitude: number },
): Promise<Found[]> {
  const now = deps.now()
  const metres = (query.distance ?? config.distance) * 1000
  const locatedSince = Math.floor(now / 1000) - positionSeconds
  const keyword = keywordConditions(query, config)
  if (!keyword) return []
  const filter: Filter<UserDocument> = { $and: [conditions(query, viewerId, now), keyword] }
  const found = await deps.users.near({ longitude, latitude, metres, locatedSince }, filter, rows)
  return found.map((user) => ({
    user,
    metres: user.loc && metresBetween({ longitude, latitude }, user.loc.coordinates),
  }))
}

function conditions(query: Query, viewerId: number, now: number): Filter<UserDocument> {
  const { sex, birthday } = filterOf(query, viewerId, now)
  const { userId, active } = query
  const all: Filter<UserDocument>[] = [{ _id: { $ne: viewerId } }]
  if (userId !== undefined) all.push({ _id: userId })
  if (sex !== undefined) all.push({ sex })
  if (birthday) {
    const { from = Number.MIN_SAFE_INTEGER, to = Number.MAX_SAFE_INTEGER } = birthday
    all.push({ birthday: { $ne: 0, $gte: from, $lte: to } })
  }
  if (active) {
    const since = Math.floor(now / 1000) - active
    const seen = { $gte: since }
    all.push({ $or: [{ 'presence.online': true }, { offlineTime: seen }, { 'lastLogin.loginTime': seen }] })
  }
  return { $and: all }
}

/** Undefined when the configuration lets nobody be found by what is given. */
function keywordConditions(
  { nickname, telephone }: Query,
  { nicknameSearchUser, telephoneSearchUser }: ServerConfig,
): Filter<UserDocument> | undefined {
  const text = telephone ?? nickname
  if (text === undefined) return {}
  const anyOf: Filter<UserDocument>[] = []
  const names = { $in: loginNameCandidates(text) }
  if (telephoneSearchUser === 1)
    anyOf.push({
      $or: [{ loginNames: names }, { numberNames: names }],
      'settings.phoneSearch': 1,
      'settings.closeTelephoneFind': 0,
    })
  if (telephone === undefined) {
    const literal = RegExp.escape(text)
    anyOf.push({ account: { $regex: `^${literal}$`, $options: 'i' } })
    if (nicknameSearchUser !== 0) {
      const pattern = nicknameSearchUser === 1 ? `^${literal}$` : literal
      anyOf.push({ nickname: { $regex: pattern, $options: 'i' }, 'settings.nameSearch': 1 })
    }
  }
  return anyOf.length ? { $or: anyOf } : undefined
}

/** Whether a user was seen within `active` seconds; 0 asks for nothing. */
function activityCheck({ active }: Query, now: number): (user: UserDocument) => boolean {
  if (!active) return () => true
  const since = Math.floor(now / 1000) - active
  return ({ presence, offlineTime, lastLogin }) =>
    presence.online || offlineTime >= since || (lastLogin?.loginTime ?? 0) >= since
}
