import { availableParallelism, cpus, release, totalmem, type } from 'node:os'

/** What the figures were measured on. */
export const machine = () => ({
  cpus: availableParallelism(),
  model: cpus()[0]?.model ?? 'unknown',
  memoryGigabytes: Math.round(totalmem() / 2 ** 30),
  system: `${type()} ${release()}`,
  node: process.version,
})
