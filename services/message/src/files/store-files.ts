import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import type { FileDocument } from './files-repository.ts'
import { removeFiles } from './remove-files.ts'

/** After this time (ms) a file that is still on its way into the store is given up. */
const longestWay = 86_400_000

/**
 * Writes the rows, then has `put` store their files, and lets them live until `expireAt` (absent: for ever). The rows come first: what
 * is in the store and has no row would stay for ever. Until all is stored they expire within a day, so of a process that dies, or a
 * store that is away when a failure is cleaned up, nothing stays either.
 */
export async function storeFiles(
  deps: Pick<Deps, 'files' | 'fileStore' | 'log' | 'now'>,
  files: readonly Omit<FileDocument, 'expireAt'>[],
  expireAt: Date | undefined,
  put: () => Promise<void>,
): Promise<void> {
  const rows = files.map((file) => ({ ...file, expireAt: new Date(deps.now() + longestWay) }))
  await deps.files.add(rows)
  try {
    await put()
    const names = rows.map(({ _id }) => _id)
    // Somebody's files are removed with them, also those that come at that moment.
    if (!(await deps.files.setExpiry(names, expireAt))) throw new ContractError('ServiceUnavailable', { retryAfter: 1 })
  } catch (error) {
    await removeFiles(deps, rows).catch((cause: unknown) =>
      deps.log.warn({ err: cause }, 'files of an upload that failed were not removed yet'),
    )
    throw error
  }
}
