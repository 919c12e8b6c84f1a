/** Birthdays are days by the clock of UTC+8 (spec 05-nearby.md). */
const clockMs = 8 * 3_600_000
const daySeconds = 86_400

const dateAt = (seconds: number) => new Date(seconds * 1000 + clockMs)

/** Age in full years at `now` (ms); 0 when the birthday (seconds) is unknown. */
export function fullYears(birthday: number, now: number): number {
  if (!birthday) return 0
  const born = dateAt(birthday)
  const today = dateAt(now / 1000)
  const hadBirthday =
    today.getUTCMonth() > born.getUTCMonth() ||
    (today.getUTCMonth() === born.getUTCMonth() && today.getUTCDate() >= born.getUTCDate())
  return Math.max(0, today.getUTCFullYear() - born.getUTCFullYear() - (hadBirthday ? 0 : 1))
}

/** The first second of the day that was so many years ago. */
function yearsAgo(years: number, now: number): number {
  const day = dateAt(now / 1000)
  return Math.floor((Date.UTC(day.getUTCFullYear() - years, day.getUTCMonth(), day.getUTCDate()) - clockMs) / 1000)
}

/** Birthdays (seconds, both included) of those who have at least `min` and at most `max` full years; 0 is open. */
export function birthdaysOfAges(min: number, max: number, now: number): { from?: number; to?: number } | undefined {
  if (!min && (!max || max >= 200)) return undefined
  return {
    ...(max ? { from: yearsAgo(max + 1, now) + daySeconds } : {}),
    ...(min ? { to: yearsAgo(min, now) + daySeconds - 1 } : {}),
  }
}

/** All seconds of the day on which a point in time (seconds) is. */
export function dayOf(seconds: number): { from: number; to: number } {
  const from = Math.floor((seconds + clockMs / 1000) / daySeconds) * daySeconds - clockMs / 1000
  return { from, to: from + daySeconds - 1 }
}
