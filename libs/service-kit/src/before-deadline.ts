/** Returns the result of `work`, or throws what `late` makes after `ms`; `work` itself goes on. */
export async function beforeDeadline<T>(ms: number, late: () => Error, work: Promise<T>): Promise<T> {
  const { promise: deadline, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(late()), ms)
  try {
    return await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
  }
}
