import { type Call, Reply } from '@im/contracts'
import { uploadLimits, type uploads } from '@im/contracts/message'
import type { Deps } from '../deps.ts'
import { chargeUpload } from './daily-uploads.ts'
import { extensionOfKey, newFileKey, thumbnailKey } from './file-keys.ts'
import { classify, contentTypeOf, type FileKind } from './file-kinds.ts'
import type { FileDocument } from './files-repository.ts'
import { expiryOf, refuseForeignUser, validDaysIn } from './form-fields.ts'
import { bytesOf } from './images.ts'
import { demandFiles, demandUser, type ReceivedForm, receiveForm, type StagedFile } from './receive-form.ts'
import { sniffImage } from './sniff-image.ts'
import { storeFiles } from './store-files.ts'

/** A file on its way into the store. */
interface Prepared {
  kind: FileKind
  row: Omit<FileDocument, 'expireAt'>
  path: string
  thumbnail: string | undefined
}

/** Takes the files of a form. All of them are stored, or none and nothing is left. */
export async function uploadFiles(deps: Deps, call: Call<(typeof uploads)['uploadFiles']>) {
  const startedAt = performance.now()
  const limits = { fileBytes: deps.config.uploadMaxBytes, files: uploadLimits.files }
  const charge = (userId: number, bytes: number) => chargeUpload(deps, userId, bytes)
  return await receiveForm(deps, call, { limits, charge }, async (form) => {
    const owner = demandUser(form)
    refuseForeignUser(form.fields, owner)
    const files = demandFiles(form)
    const { downloadUrl, fileValidTime } = await deps.serverConfig.get()
    const expireAt = expiryOf(validDaysIn(form.fields) ?? fileValidTime, deps.now())
    const prepared: Prepared[] = []
    for (const file of files) prepared.push(await prepare(deps, form, owner, file))
    const rows = prepared.map(({ row }) => row)
    await storeFiles(deps, rows, expireAt, () => putAll(deps, prepared))
    const total = prepared.length
    const time = Math.round(performance.now() - startedAt)
    return new Reply(listed(prepared, downloadUrl), { members: { total, success: total, failure: 0, time } })
  })
}

async function prepare(deps: Deps, form: ReceivedForm, owner: number, file: StagedFile): Promise<Prepared> {
  const image = await sniffImage(file.head)
  const { kind, extension } = classify(file.name, image)
  const { name, key } = newFileKey(owner, kind === 'images' ? 'o' : 'f', extension, deps.now())
  const path = kind === 'images' ? await form.newPath() : ''
  const hasThumbnail = kind === 'images' && (await deps.images.thumbnail(owner, { path: file.path, extension }, path))
  // What is an image by its content is shown as one by apps, whatever it is called.
  if (image !== undefined && kind !== 'images') await deps.images.check(owner, { path: file.path, extension: image })
  const createdAt = new Date(deps.now())
  const row = { _id: name, owner, key, hasThumbnail, bytes: file.bytes, name: file.name, createdAt }
  return { kind, row, path: file.path, thumbnail: hasThumbnail ? path : undefined }
}

async function putAll({ fileStore }: Pick<Deps, 'fileStore'>, prepared: readonly Prepared[]): Promise<void> {
  for (const { row, path, thumbnail } of prepared) {
    const type = contentTypeOf(extensionOfKey(row.key)) ?? 'application/octet-stream'
    await fileStore.put(row.key, path, { bytes: row.bytes, type })
    if (thumbnail !== undefined)
      await fileStore.put(thumbnailKey(row.key), thumbnail, { bytes: await bytesOf(thumbnail), type: 'image/jpeg' })
  }
}

function listed(prepared: readonly Prepared[], base: string) {
  const of = (kind: FileKind) =>
    prepared
      .filter((one) => one.kind === kind)
      .map(({ row }) => ({
        oFileName: row.name,
        oUrl: base + row.key,
        tUrl: base + (row.hasThumbnail ? thumbnailKey(row.key) : row.key),
        status: 1,
      }))
  return { images: of('images'), audios: of('audios'), videos: of('videos'), files: [], others: of('others') }
}
