import type { Point, UserDocument } from './user-document.ts'

/** A position that is older (seconds) is shown to nobody else. */
const shownFor = 7 * 86_400

/** Since when (seconds) positions are shown at a time (ms). */
export const shownSince = (now: number): number => Math.floor(now / 1000) - shownFor

/** Decimals of the degrees that others see: about 100 m. */
const shownDecimals = 3

const rounded = (degrees: number) => Number(degrees.toFixed(shownDecimals))
const pointOf = (coordinates: [longitude: number, latitude: number]): Point => ({ type: 'Point', coordinates })

/**
 * What is stored when a user tells where they are (degrees; `at` in seconds). Searches and distances use the rounded position: an
 * exact distance from three places of one's choice, or the edge of a circle, would give the exact one away.
 */
export function positionFields(
  position: [longitude: number, latitude: number],
  at: number,
): Pick<UserDocument, 'loc' | 'shownLoc' | 'locatedAt'> {
  const [longitude, latitude] = position
  return { loc: pointOf(position), shownLoc: pointOf([rounded(longitude), rounded(latitude)]), locatedAt: at }
}
