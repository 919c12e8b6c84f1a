import { errors } from '@im/contracts'
import { latencyOf } from '../percentiles.ts'
import type { MadeCall } from './call-load.ts'
import type { Replacement } from './replacements.ts'

/** How much longer (ms) than the middle one a call may take while processes are replaced. */
export const mostDelay = 250
/** A call that was on its way to a process that was being killed may have begun this long (ms) after its end was seen. */
const underWay = 100

/** Calls of a part of the run. */
export interface CallFigures {
  calls: number
  failed: number
  p50: number
  p99: number
  max: number
  /** Calls that took `mostDelay` more than the middle one. */
  slow: number
}

export function figuresOf(calls: readonly MadeCall[]): CallFigures {
  const { p50, p99, max } = latencyOf(calls.map(({ ms }) => ms))
  return {
    calls: calls.length,
    failed: calls.filter(isFailed).length,
    ...{ p50, p99, max },
    slow: calls.filter(({ ms }) => ms > p50 + mostDelay).length,
  }
}

/**
 * Calls that took `mostDelay` more than the middle one: how many of them while some process ended, and how many while one only
 * started, which takes a core for some seconds.
 */
export function slowWhile(calls: readonly MadeCall[], replacements: readonly Replacement[]) {
  const { p50 } = figuresOf(calls)
  const slow = calls.filter(({ ms }) => ms > p50 + mostDelay)
  const overlaps = (call: MadeCall, from: number, to: number) => call.beganAt < to && call.beganAt + call.ms > from
  const starting = slow.filter((call) => replacements.some(({ goneAt, wholeAt }) => overlaps(call, goneAt, wholeAt)))
  return { ended: slow.length - starting.length, started: starting.length }
}

/**
 * Failures that should not have been, in words. While processes end in order no call fails; of a killed one only those that are
 * under way, with ServiceUnavailable, or by a connection that breaks when it is a gateway.
 */
export function wrongCalls(calls: readonly MadeCall[], kills: readonly Replacement[]): string[] {
  return calls.filter(isFailed).flatMap((call) => {
    const kill = kills.find(({ at, goneAt }) => call.beganAt < goneAt + underWay && call.beganAt + call.ms > at)
    const isAllowed =
      kill &&
      (call.resultCode === errors.ServiceUnavailable.code || (call.resultCode === 0 && /^gateway/.test(kill.name)))
    return isAllowed ? [] : [`${call.path} answered ${call.resultCode || 'nothing'} at ${Math.round(call.beganAt)} ms`]
  })
}

const isFailed = ({ resultCode }: MadeCall) => resultCode !== 1
