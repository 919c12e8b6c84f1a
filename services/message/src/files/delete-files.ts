import { fileAddressesIn } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { removeFiles } from './remove-files.ts'

/** Removes uploads of the caller; others are passed over. */
export async function deleteFiles(
  deps: Pick<Deps, 'fileStore' | 'files'>,
  caller: number,
  paths: readonly string[],
): Promise<void> {
  const names = paths.flatMap((path) => fileAddressesIn(path).slice(0, 1)).map(({ name }) => name)
  const found = await deps.files.byNames(names)
  await removeFiles(
    deps,
    found.filter(({ owner }) => owner === caller),
  )
}
