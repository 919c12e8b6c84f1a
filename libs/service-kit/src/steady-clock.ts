/**
 * A `now` that never goes back: when the clock of the machine is set back, it goes on from where it was. For the age of values
 * in memory, which would otherwise count as new until the clock has caught up.
 */
export function steadyClock(now: () => number): () => number {
  let last = Number.NEGATIVE_INFINITY
  let ahead = 0
  return () => {
    const time = now() + ahead
    if (time < last) ahead += last - time
    else last = time
    return last
  }
}
