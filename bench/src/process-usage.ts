import { readFile } from 'node:fs/promises'

/** Clock ticks per second of /proc; 100 on every Linux we run on. */
const ticks = 100

/** CPU seconds a process has used so far, its threads included. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticks
}

/** Resident memory in MB. `proportional` counts pages shared with other processes by their share. */
export async function residentMegabytes(pid: number): Promise<{ resident: number; proportional: number }> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0)
  return { resident: kilobytes('Rss') / 1024, proportional: kilobytes('Pss') / 1024 }
}
