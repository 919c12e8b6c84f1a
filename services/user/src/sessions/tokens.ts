import { createHash, randomBytes } from 'node:crypto'

/** Seconds an access token lives; login/auto and refresh begin it anew. */
export const accessSeconds = 604_800
/** Seconds a refresh token lives. */
export const refreshSeconds = 30 * 86_400

/** 128 random bits as 32 lower-case hex digits: the form apps know. */
export const newAccessToken = () => randomBytes(16).toString('hex')

/** 256 random bits as 64 hex digits. */
export const newRefreshToken = () => randomBytes(32).toString('hex')

/** What is stored of a token, and the id of its session. */
export const tokenId = (token: string) => createHash('sha256').update(token).digest('hex')
