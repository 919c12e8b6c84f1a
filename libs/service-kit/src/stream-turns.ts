/** Parts of long bodies, of up to 64 KiB each, that pass in one turn of the event loop. */
const partsInTurn = 2

const waiting: (() => void)[] = []

/**
 * Resolves when the next part of a long body may pass. However many bodies arrive at once, other calls wait for two parts of them in
 * each turn of the event loop, and bodies take turns.
 */
export function streamTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (waiting.push(resolve) === 1) setImmediate(pass)
  })
}

function pass(): void {
  for (const next of waiting.splice(0, partsInTurn)) next()
  if (waiting.length) setImmediate(pass)
}
