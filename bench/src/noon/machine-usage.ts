import { cpus } from 'node:os'

/** How much of the machine's CPU is used. */
export class MachineUsage {
  #last = times()

  /** The share, 0 to 1, that nobody used since the last call. */
  idle(): number {
    const [last, now] = [this.#last, times()]
    this.#last = now
    return (now.idle - last.idle) / (now.all - last.all)
  }
}

function times(): { idle: number; all: number } {
  const each = cpus().map(({ times }) => times)
  const sum = (numbers: number[]) => numbers.reduce((one, other) => one + other, 0)
  return { idle: sum(each.map(({ idle }) => idle)), all: sum(each.flatMap((own) => Object.values(own))) }
}
