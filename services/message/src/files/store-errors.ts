import { StoreAwayError } from '@im/service-kit'

/** A full or broken disk is no fault of a client, who may try again later. */
export async function storeErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException
    if (error instanceof Error && syscall !== undefined)
      throw new StoreAwayError('files', code ?? syscall, { cause: error })
    throw error
  }
}
