import type { Params } from '@im/contracts'
import type { ServerConfig, userSearch } from '@im/contracts/user'
import type { Filter } from 'mongodb'
import type { Deps } from '../deps.ts'
import { dayOf } from '../users/ages.ts'
import { shownSince } from '../users/positions.ts'
import type { UserFilter } from '../users/searchable-users-repository.ts'
import type { UserDocument } from '../users/user-document.ts'
import { metresTo } from './distance.ts'
import {
  countSearch,
  type Found,
  findExactly,
  listUsers,
  longestList,
  nameCriterion,
  rowsUpTo,
  showPage,
  type Viewing,
} from './find-users.ts'
import { criteria, fits, isListed } from './search-users.ts'

type Query = Params<(typeof userSearch)['findNearby']>

/** Value of the setting showLastLoginTime. */
const shownToAll = 1

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
  if (!rows) return []
  const finding = { rows, viewerId: viewing.viewerId, config: await deps.serverConfig.get() }
  const isNamed = isKeyword || userId !== undefined
  const found = isNamed ? await byKeyword(deps, query, finding) : place ? await around(deps, query, finding, place) : []
  return showPage(deps, found, query, viewing)
}

export interface Place {
  longitude: number
  latitude: number
}

/** 0/0 is what apps send when they do not know where they are. */
export function placeOf({ longitude, latitude }: Partial<Place>): Place | undefined {
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

/** Users by a keyword or an id. With a place, those of them who are around it, nearest first. */
async function byKeyword(deps: Deps, query: Query, { rows, viewerId, config }: Finding): Promise<Found[]> {
  const { nickname, telephone, userId } = query
  const place = placeOf(query)
  const filter = filterOf(query, viewerId, deps.now())
  const isActive = activityCheck(query, deps.now())
  const distanceTo = distances(deps, query, config)
  const isNear = (user: UserDocument) => !place || distanceTo(user) !== undefined
  const isWanted = (user: UserDocument) =>
    isListed(user, viewerId) && fits(user, filter) && isActive(user) && (userId === undefined || user._id === userId)
  const name = nickname === undefined || telephone !== undefined ? undefined : nameCriterion(nickname, config)
  // The nearest ones are not those with the smallest ids.
  const listing = { order: 1, rows: place ? longestList : rows } as const
  const also = query.active || place ? { also: (user: UserDocument) => isActive(user) && isNear(user) } : {}
  const [exact, named] = await Promise.all([
    exactMatches(deps, query, config),
    name && userId === undefined ? listUsers(deps, { ...filter, name }, { ...listing, ...also }) : [],
  ])
  const first = exact.filter((user) => isWanted(user) && isNear(user)).slice(0, rows)
  const known = new Set(first.map(({ _id }) => _id))
  const found = [...first, ...named.filter(({ _id }) => !known.has(_id))]
  if (!place) return found.map((user) => ({ user }))
  return found.map((user) => ({ user, metres: distanceTo(user) ?? 0 })).sort((a, b) => a.metres - b.metres)
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
  { rows, viewerId, config }: Finding,
  { longitude, latitude }: Place,
): Promise<Found[]> {
  const metres = radiusOf(query, config)
  const locatedSince = shownSince(deps.now())
  const filter = conditions(query, viewerId, deps.now())
  const found = await deps.users.near({ longitude, latitude, metres, locatedSince }, filter, rows)
  return found.map((user) => ({ user, metres: metresTo({ longitude, latitude }, user) }))
}

const radiusOf = ({ distance }: Query, config: ServerConfig) => (distance ?? config.distance) * 1000

/** Tells how far away users are (metres): undefined for those out of reach or with an old position. */
function distances(deps: Deps, query: Query, config: ServerConfig): (user: UserDocument) => number | undefined {
  const place = placeOf(query)
  const [radius, since] = [radiusOf(query, config), shownSince(deps.now())]
  return (user) => {
    const metres = place && (user.locatedAt ?? 0) >= since ? metresTo(place, user) : undefined
    return metres !== undefined && metres <= radius ? metres : undefined
  }
}

function conditions(query: Query, viewerId: number, now: number): Filter<UserDocument> {
  const { sex, birthday } = filterOf(query, viewerId, now)
  const { active } = query
  const all: Filter<UserDocument>[] = [{ _id: { $ne: viewerId } }]
  if (sex !== undefined) all.push({ sex })
  if (birthday) {
    const { from = Number.MIN_SAFE_INTEGER, to = Number.MAX_SAFE_INTEGER } = birthday
    all.push({ birthday: { $ne: 0, $gte: from, $lte: to } })
  }
  if (active) {
    const since = Math.floor(now / 1000) - active
    const seen = { $gte: since }
    const wasSeen = { $or: [{ offlineTime: seen }, { 'lastLogin.loginTime': seen }] }
    all.push({ $or: [{ 'presence.online': true }, { 'settings.showLastLoginTime': shownToAll, ...wasSeen }] })
  }
  return { $and: all }
}

/**
 * Whether a user was seen within `active` seconds; 0 asks for nothing. Everybody may ask, and with other seconds again, so the times of
 * those who do not show them to everybody do not count: only that they are online.
 */
function activityCheck({ active }: Query, now: number): (user: UserDocument) => boolean {
  if (!active) return () => true
  const since = Math.floor(now / 1000) - active
  return ({ presence, offlineTime, lastLogin, settings }) =>
    presence.online ||
    (settings.showLastLoginTime === shownToAll && Math.max(offlineTime, lastLogin?.loginTime ?? 0) >= since)
}
