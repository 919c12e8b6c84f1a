/** Rows that a page may have before it: a database reads all that it skips. */
export const furthestRow = 100_000

/** How many rows stand before a page; undefined when it lies too far behind, and is shown empty. */
export function skipOf({ pageIndex, pageSize }: { pageIndex: number; pageSize: number }): number | undefined {
  const skip = pageIndex * pageSize
  return skip > furthestRow ? undefined : skip
}
