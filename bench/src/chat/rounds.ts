import { setTimeout as delay } from 'node:timers/promises'
import { type Latency, latencyOf } from '../percentiles.ts'
import type { Anomalies, Sent, Traffic } from './traffic.ts'

export type Plan =
  | { kind: 'closed'; inFlight: number; seconds: number; maxMessages: number }
  | { kind: 'open'; perSecond: number; seconds: number; maxMessages: number }

export interface Round {
  sent: number
  /** Delivered and receipted within the time of the round, per second of it. */
  messagesPerSecond: number
  delivery: Latency
  receipt: Latency
  undelivered: number
  deliveredTwice: number
  unreceipted: number
  anomalies: Anomalies
  messages: Sent[]
}

/** How long after the last message was sent an answer is waited for. */
const patience = 20_000

/** Runs one round and judges it: every message delivered exactly once, in its pair's order, and receipted. */
export async function runRound(traffic: Traffic, plan: Plan): Promise<Round> {
  traffic.begin()
  const begin = performance.now()
  const end = begin + plan.seconds * 1000
  let done = 0
  traffic.onDone = () => {
    done += 1
  }
  if (plan.kind === 'closed') await sendClosed(traffic, plan, end)
  else await sendOpen(traffic, plan, begin, end)
  const stop = Math.min(performance.now(), end)
  const lastCall = performance.now() + patience
  while (done < traffic.messages.size && performance.now() < lastCall && !traffic.anomalies.disconnected.length)
    await delay(20)

  const messages = [...traffic.messages.values()]
  const delivered = messages.filter((message) => message.deliveries)
  const receipted = messages.filter((message) => message.receipts)
  const isDone = (message: Sent) =>
    message.deliveries > 0 && message.receipts > 0 && Math.max(message.deliveredAt, message.receiptedAt) <= stop
  return {
    sent: messages.length,
    messagesPerSecond: Math.round((messages.filter(isDone).length * 1000) / (stop - begin)),
    delivery: latencyOf(delivered.map((message) => message.deliveredAt - message.dueAt)),
    receipt: latencyOf(receipted.map((message) => message.receiptedAt - message.dueAt)),
    undelivered: messages.length - delivered.length,
    deliveredTwice: messages.filter((message) => message.deliveries > 1).length,
    unreceipted: messages.length - receipted.length,
    anomalies: traffic.anomalies,
    messages,
  }
}

/** Each pair sends its next message when an earlier one is done. */
async function sendClosed(traffic: Traffic, plan: Plan & { kind: 'closed' }, end: number): Promise<void> {
  const count = traffic.onDone
  const next = (pair: number) => {
    const now = performance.now()
    if (now < end && traffic.messages.size < plan.maxMessages) traffic.send(pair, now)
  }
  traffic.onDone = (message, pair) => {
    count(message, pair)
    next(pair)
  }
  for (let i = 0; i < plan.inFlight; i++) next(i % traffic.pairs.length)
  while (performance.now() < end && traffic.messages.size < plan.maxMessages) await delay(10)
}

/** Messages leave by the clock, whatever becomes of earlier ones. */
async function sendOpen(traffic: Traffic, plan: Plan & { kind: 'open' }, begin: number, end: number): Promise<void> {
  const total = Math.min(Math.round(plan.perSecond * plan.seconds), plan.maxMessages)
  const dueAt = (index: number) => begin + (index * 1000) / plan.perSecond
  for (let index = 0; index < total; ) {
    while (index < total && dueAt(index) <= performance.now()) {
      traffic.send(index % traffic.pairs.length, dueAt(index))
      index += 1
    }
    await delay(1)
  }
  const rest = end - performance.now()
  if (rest > 0 && total < plan.maxMessages) await delay(rest)
}

/** What went wrong, in words; empty when all is well. */
export function faultsOf(round: Round): string[] {
  const { anomalies } = round
  const faults: [number, string][] = [
    [round.undelivered, `not delivered within ${patience / 1000} s`],
    [round.deliveredTwice, 'delivered more than once'],
    [round.unreceipted, `without a receipt within ${patience / 1000} s`],
    [anomalies.outOfOrder, 'out of order'],
    [anomalies.altered, 'altered on the way'],
    [anomalies.unknown, 'deliveries or receipts of unknown messages'],
    [anomalies.disconnected.length, `streams closed (${anomalies.disconnected[0]})`],
    ...Object.entries(anomalies.refused).map(([condition, count]): [number, string] => [
      count,
      `refused: ${condition}`,
    ]),
  ]
  return faults.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
}
