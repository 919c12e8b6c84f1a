import type { UserDocument } from '../users/user-document.ts'

/** As MongoDB takes it for $near. */
const earthRadiusMetres = 6_378_100
const radians = (degrees: number) => (degrees * Math.PI) / 180

/** The way between two places on the globe (haversine formula). */
function metresBetween(
  { longitude, latitude }: { longitude: number; latitude: number },
  [otherLongitude, otherLatitude]: readonly [number, number],
): number {
  const [a, b] = [radians(latitude), radians(otherLatitude)]
  const height = Math.sin((b - a) / 2) ** 2
  const width = Math.sin(radians(otherLongitude - longitude) / 2) ** 2
  return 2 * earthRadiusMetres * Math.asin(Math.sqrt(height + Math.cos(a) * Math.cos(b) * width))
}

/** How far away a user is, by the position that others see; undefined when it is not known. */
export const metresTo = (place: { longitude: number; latitude: number }, { shownLoc }: UserDocument) =>
  shownLoc && metresBetween(place, shownLoc.coordinates)
