import { createHash } from 'node:crypto'

/** An id of what an event causes: the same whenever the event is handled, and whichever service asks. 32 hex digits. */
export const causedId = (...cause: (string | number)[]): string =>
  createHash('md5').update(cause.join(':')).digest('hex')
