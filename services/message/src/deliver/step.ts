/** What an entry comes to, once it is read and decided on. `W` is what of it has to be written. */
export interface Step<W> {
  /** Undefined: nothing has to be written first. */
  write?: W
  /** Length of its texts. */
  size: number
  /** Sends what comes of it, after the write. Calls `settled` when nothing of it can get lost any more. */
  run(settled: () => void): void
  /** Tells its sender that it could not be taken after all. */
  fail(): void
}

/** Nothing comes of an entry. */
export const nothing: Step<never> = { size: 0, run: (settled) => settled(), fail() {} }
