import { createHash, randomBytes } from 'node:crypto'

/** How many seconds an access token lives. login/auto and refresh start them again. */
export const accessSeconds = 604_800
/** How many seconds a refresh token lives. */
export const refreshSeconds = 30 * 86_400

/** 128 random bits as 32 lower-case hex digits: the form apps know. */
export const newAccessToken = () => randomBytes(16).toString('hex')

/** Digits with which all refresh tokens of one login begin. */
const commonDigits = 24

/** 256 random bits as 64 hex digits. The first 96 are those of the token it replaces, so that one that is used again is known. */
export const newRefreshToken = (replaced = randomBytes(12).toString('hex')) =>
  replaced.slice(0, commonDigits) + randomBytes(20).toString('hex')

/** The family of a refresh token: all that came from one login. */
export const familyOf = (refreshToken: string) => tokenId(refreshToken.slice(0, commonDigits))

/** What is stored instead of a token. For an access token it is also the id of its session. */
export const tokenId = (token: string) => createHash('sha256').update(token).digest('hex')
