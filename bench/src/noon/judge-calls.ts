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

/** Slow calls beside what was being done to a process when they ended. */
export interface SlowCalls {
  /** `social-2 was ending`, `social-2 was starting`, `after social-2`, or `before all`. */
  during: string
  calls: number
  /** The slowest: its path and how long (ms) it took. */
  slowest: { path: string; ms: number }
}

/** Calls that took `mostDelay` more than the middle one, by what went on; most of them first. */
export function slowCalls(calls: readonly MadeCall[], replacements: readonly Replacement[]): SlowCalls[] {
  const { p50 } = figuresOf(calls)
  const slow = calls.filter(({ ms }) => ms > p50 + mostDelay)
  return [...Map.groupBy(slow, (call) => whatWentOn(call, replacements))]
    .map(([during, some]) => {
      const { path, ms } = some.reduce((one, other) => (other.ms > one.ms ? other : one))
      return { during, calls: some.length, slowest: { path, ms: Math.round(ms) } }
    })
    .sort((a, b) => b.calls - a.calls)
}

function whatWentOn({ beganAt, ms }: MadeCall, replacements: readonly Replacement[]): string {
  const endedAt = beganAt + ms
  const last = replacements.findLast(({ at }) => at <= endedAt)
  if (!last) return 'before all'
  if (endedAt <= last.goneAt) return `${last.name} was ending`
  return endedAt <= last.wholeAt ? `${last.name} was starting` : `after ${last.name}`
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
