/** What Linux tells of processes. */
import { readdirSync, readFileSync } from 'node:fs'
import { cpus } from 'node:os'

/**
 * Living processes whose environment at their start has this entry: whoever was started by whoever had it, in whatever group
 * or session. Only where there is /proc; elsewhere none.
 */
export function processesWith(entry: string): number[] {
  let names: string[] = []
  try {
    names = readdirSync('/proc')
  } catch {
    return []
  }
  return names.filter((name) => /^\d+$/.test(name) && readProc(`${name}/environ`)?.includes(entry)).map(Number)
}

function readProc(file: string): string | undefined {
  try {
    return readFileSync(`/proc/${file}`, 'utf8')
  } catch {
    return
  }
}

/**
 * How much CPU time (s) our child processes, and theirs, have used since it was last called. It counts those that have ended.
 * Always 0 where there is no /proc.
 */
export function childCpu(): () => number {
  const total = () => {
    const stat = readProc('self/stat')
    if (!stat) return 0
    // After the program's name, which may hold anything, the 14th and 15th field; in ticks of 10 ms.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[13]) + Number(fields[14])) / 100
  }
  let before = total()
  return () => {
    const now = total()
    const used = now - before
    before = now
    return used
  }
}

/** The share (0 to 1) of the time of all CPUs in which they did nothing since it was last called. */
export function idleShare(): () => number {
  const look = () => {
    const times = cpus().map((cpu) => cpu.times)
    const idle = times.reduce((sum, time) => sum + time.idle, 0)
    return { idle, all: times.reduce((sum, { user, nice, sys, irq }) => sum + user + nice + sys + irq, idle) }
  }
  let before = look()
  return () => {
    const now = look()
    const share = now.all > before.all ? (now.idle - before.idle) / (now.all - before.all) : 0
    before = now
    return share
  }
}

/** The name of a process's program; its id where nothing is known. */
export const nameOf = (pid: number): string => readProc(`${pid}/comm`)?.trim() || String(pid)
