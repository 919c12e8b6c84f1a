/**
 * `now` without steps back: when the clock of the machine is set back, it goes on from where it was. For the age of what is
 * known in memory, which else would count as new for as long as the clock was wrong.
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
