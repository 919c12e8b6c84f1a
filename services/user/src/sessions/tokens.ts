import { createHash, randomBytes } from 'node:crypto'

/** How many seconds an access token lives. login/auto and refresh start them again. */
export const accessSeconds = 604_800
/** How many seconds a refresh token lives. */
export const refreshSeconds = 30 * 86_400

/** 128 random bits as 32 lower-case hex digits: the form apps know. */
export const newAccessToken = () => randomBytes(16).toString('hex')

/** 256 random bits as 64 hex digits. */
export const newRefreshToken = () => randomBytes(32).toString('hex')

/** What is stored instead of a token. For an access token it is also the id of its session. */
export const tokenId = (token: string) => createHash('sha256').update(token).digest('hex')
