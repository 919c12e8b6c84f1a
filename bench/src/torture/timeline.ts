import type { TortureReport } from './torture.ts'

/** What clients saw of a message, and what happened around it, for whoever looks for the fault. `what` begins with its id. */
export function timelineOf(what: string, { ledger, happened }: TortureReport): string {
  const message = ledger.messages.get(/^[0-9a-f]{32}/.exec(what)?.[0] ?? '')
  if (!message) return `       ${what}`
  const { kind, from, to, room, device, place, sentAt, receiptAt, refusals, deliveries } = message
  const end = Math.max(receiptAt ?? 0, ...sentAt, ...deliveries.map(({ at }) => at), sentAt[0]! + 10_000)
  const [first = 0] = sentAt
  const isNear = (begin: number, over: number) => begin < end + 1000 && over > first - 5000
  const events: [number, string][] = [
    ...sentAt.map((at): [number, string] => [at, `sent by ${device}`]),
    ...(receiptAt === undefined ? [] : [[receiptAt, 'receipted'] as [number, string]]),
    ...refusals.map(({ at, condition }): [number, string] => [at, `refused: ${condition}`]),
    ...deliveries.map(({ at, device, stream }): [number, string] => [at, `delivered to ${device}#${stream}`]),
    ...ledger.streams
      .filter(
        (stream) =>
          stream.device === device || stream.device.startsWith(`${to}/`) || what.includes(` ${stream.device}`),
      )
      .filter(({ beganAt, endedAt }) => isNear(beganAt, endedAt))
      .flatMap(({ device, number, server, beganAt, endedAt, confirms, isClosedCleanly }): [number, string][] => [
        [beganAt, `${device}#${number} begins on ${server + 1}${confirms ? '' : ', confirms nothing'}`],
        [endedAt, `${device}#${number} ends${isClosedCleanly ? ', closed' : ''}`],
      ])
      .filter(([at]) => Number.isFinite(at)),
    ...happened
      .filter(({ from, to }) => isNear(from, to))
      .flatMap(({ fault: { kind, target }, from, to }): [number, string][] => [
        [from, `${kind} ${target}`],
        [to, `${kind} ${target} is over`],
      ]),
    ...[...ledger.messages.values()]
      .filter(({ names }) => names.includes(message.id))
      .flatMap(({ kind, device, sentAt, receiptAt }): [number, string][] => [
        [sentAt[0] ?? 0, `${kind} of it sent by ${device}`],
        [receiptAt ?? Number.NaN, `${kind} of it receipted`],
      ]),
  ]
  const lines = events
    .sort(([a], [b]) => a - b)
    .map(([at, text]) => `         ${String(Math.round(at - first)).padStart(7)} ms  ${text}`)
  return [`       ${what}: ${kind} ${from} → ${room ? `room ${room.jid}` : to}, place ${place}`, ...lines].join('\n')
}
