import type { Ledger, Stream } from '../torture/ledger.ts'

/** How long (ms) a client may be without a stream. */
export const longestGap = 5000

/** How long (ms) each client was without a stream, each time. Streams that were resumed had no gap. */
export function gapsOf({ streams }: Ledger): { device: string; from: number; ms: number }[] {
  return [...Map.groupBy(streams, ({ device }) => device)].flatMap(([device, own]) =>
    own.slice(1).map((stream, index) => {
      const from = own[index]!.endedAt
      return { device, from, ms: stream.availableAt - from }
    }),
  )
}

/** Most logins in any second. */
export function mostLoginsInASecond(streams: readonly Stream[]): number {
  const times = streams.map(({ beganAt }) => beganAt).sort((a, b) => a - b)
  let [first, most] = [0, 0]
  for (const [index, time] of times.entries()) {
    while (times[first]! < time - 1000) first++
    most = Math.max(most, index - first + 1)
  }
  return most
}

/** Messages that a device got twice, on whatever streams, in words. */
export function deliveredTwice({ messages }: Ledger): string[] {
  return [...messages.values()].flatMap(({ id, deliveries }) =>
    [...Map.groupBy(deliveries, ({ device }) => device)].flatMap(([device, own]) =>
      own.length < 2
        ? []
        : [`${id} by ${device}: ${own.map(({ stream, at }) => `#${stream} at ${Math.round(at)} ms`).join(', ')}`],
    ),
  )
}
