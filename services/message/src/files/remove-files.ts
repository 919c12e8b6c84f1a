import type { Deps } from '../deps.ts'
import { thumbnailKey } from './file-keys.ts'
import type { FileDocument } from './files-repository.ts'

/** Removes files from the store, then what is known of them: a death in between is repeated and harmless. */
export async function removeFiles(
  { fileStore, files }: Pick<Deps, 'fileStore' | 'files'>,
  gone: readonly FileDocument[],
): Promise<void> {
  if (!gone.length) return
  await fileStore.remove(gone.flatMap(({ key, hasThumbnail }) => (hasThumbnail ? [key, thumbnailKey(key)] : [key])))
  await files.remove(gone.map(({ _id }) => _id))
}
