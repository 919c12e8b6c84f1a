import { ContractError, type Handlers } from '@im/contracts'
import { fileAddressesIn, fileReads, internalFiles, storedFiles, uploads } from '@im/contracts/message'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { copyFile } from './copy-file.ts'
import { deleteFiles } from './delete-files.ts'
import { avatarKeyOf, extensionOfKey, fileKeyOf, originalKey } from './file-keys.ts'
import { contentTypeOf } from './file-kinds.ts'
import { serveFile } from './serve-file.ts'
import { uploadAvatar, uploadRoomAvatar } from './upload-avatar.ts'
import { uploadFiles } from './upload-files.ts'

const uploadHandlers: Handlers<typeof uploads, Deps> = { uploadFiles, uploadAvatar, uploadRoomAvatar }

const storedHandlers: Handlers<typeof storedFiles, Deps> = {
  copyFile: (deps, { caller, params, request }) => copyFile(deps, caller.userId, params, request),
  deleteFiles: (deps, { caller, params }) => deleteFiles(deps, caller.userId, params.paths),
}

const jpeg = { type: 'image/jpeg', mayChange: true }

const readHandlers: Handlers<typeof fileReads, Deps> = {
  readFile(deps, { params, request }) {
    const key = demandKey(fileKeyOf(params))
    if (params.kind !== 't')
      return serveFile(deps, key, { type: contentTypeOf(extensionOfKey(key)), mayChange: false }, request)
    // Apps make the address of a thumbnail themselves, and not every image has one.
    return serveFile(deps, key, { type: 'image/jpeg', mayChange: false }, request).catch((error: unknown) => {
      if (!(error instanceof ContractError) || error.errorName !== 'FileNotFound') throw error
      const type = contentTypeOf(extensionOfKey(key))
      return serveFile(deps, originalKey(key), { type, mayChange: false }, request)
    })
  },
  readAvatar: (deps, { params, request }) => serveFile(deps, demandKey(avatarKeyOf(params)), jpeg, request),
  readRoomAvatar: (deps, { params, request }) => serveFile(deps, demandKey(avatarKeyOf(params)), jpeg, request),
}

function demandKey(key: string | undefined): string {
  if (key === undefined) throw new ContractError('FileNotFound')
  return key
}

const internalHandlers: Handlers<typeof internalFiles, Deps> = {
  keepFiles: ({ files }, { params }) => files.keep(params.urls.flatMap(fileAddressesIn).map(({ name }) => name)),
}

export const fileRoutes = [
  ...bindHandlers(uploads, uploadHandlers),
  ...bindHandlers(storedFiles, storedHandlers),
  ...bindHandlers(fileReads, readHandlers),
  ...bindHandlers(internalFiles, internalHandlers),
]
