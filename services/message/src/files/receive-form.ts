import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { type Call, ContractError } from '@im/contracts'
import { countStreamed, type FormFile, readMultipart } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { shownName } from './shown-name.ts'
import { sniffedBytes } from './sniff-image.ts'
import { storeErrors } from './store-errors.ts'
import { userOfCall, userOfToken } from './uploader.ts'

/** A file of a form, in the staging folder. */
export interface StagedFile {
  path: string
  bytes: number
  /** As it is shown. */
  name: string
  /** Its first bytes. */
  head: Uint8Array
}

export interface ReceivedForm {
  /** Who uploads, by the token; undefined when the form has none. */
  userId: number | undefined
  fields: ReadonlyMap<FieldName, string>
  files: readonly StagedFile[]
  /** A further path in the staging folder, for files that are made of these. */
  newPath: () => Promise<string>
}

const fieldNames = ['access_token', 'userId', 'validTime', 'jid', 'roomId'] as const
export type FieldName = (typeof fieldNames)[number]
const isKnown = (name: string): name is FieldName => (fieldNames as readonly string[]).includes(name)

export type ReceiveDeps = Pick<Deps, 'staging' | 'uploadsUnderWay' | 'user' | 'rateCounters'>

type StreamedCall = Pick<Call, 'request' | 'signal'> & {
  /** Of the query. */
  params: Partial<Record<FieldName, string>>
  body: AsyncIterable<Uint8Array>
  caller: Call['caller'] | undefined
}

/**
 * Receives an upload into the staging folder and gives it to `work` when it is whole; nothing is left there afterwards. `charge` is
 * told of each file of a known user, also of those that came before the token. Throws TokenInvalid, UploadFailed for a form that is
 * cut or none, FileTooLarge, InvalidParams for too many parts.
 */
export async function receiveForm<T>(
  deps: ReceiveDeps,
  { body, caller, params, request, signal }: StreamedCall,
  {
    limits,
    charge,
  }: { limits: { fileBytes: number; files: number }; charge?: (userId: number, bytes: number) => Promise<void> },
  work: (form: ReceivedForm) => Promise<T>,
): Promise<T> {
  const userId = await userOfCall(deps, caller as never, request)
  const form = new IncomingForm(deps, { ip: request.ip, charge })
  try {
    if (userId !== undefined) form.know(userId)
    for (const [name, value] of Object.entries(params)) await form.takeField(name, value)
    return await deps.staging.withFiles(async (newPath) => {
      form.newPath = newPath
      try {
        for await (const part of readMultipart(body, request.headers['content-type'], limits)) {
          signal.throwIfAborted()
          if ('value' in part) await form.takeField(part.name, part.value)
          else await form.takeFile(part)
        }
      } finally {
        form.unknown.giveBack()
      }
      return await work({ userId: form.userId, fields: form.fields, files: form.files, newPath })
    })
  } finally {
    form.leave()
  }
}

class IncomingForm {
  readonly fields = new Map<FieldName, string>()
  readonly files: StagedFile[] = []
  readonly unknown: ReturnType<Deps['uploadsUnderWay']['ofUnknown']>
  userId: number | undefined
  newPath: () => Promise<string> = () => Promise.reject(new Error('no folder yet'))
  /** The upload counts no longer for its user. */
  leave: () => void = () => {}
  readonly #deps: ReceiveDeps
  readonly #charge: ((userId: number, bytes: number) => Promise<void>) | undefined

  constructor(
    deps: ReceiveDeps,
    { ip, charge }: { ip: string; charge: ((userId: number, bytes: number) => Promise<void>) | undefined },
  ) {
    this.unknown = deps.uploadsUnderWay.ofUnknown(ip)
    this.#deps = deps
    this.#charge = charge
  }

  /** Who uploads. Throws RateLimited when they have too many uploads at once. */
  know(userId: number): void {
    this.leave = this.#deps.uploadsUnderWay.enter(userId)
    this.userId = userId
    this.unknown.giveBack()
  }

  /** The first value that is not empty counts, and the query before the form (transport.md §1). */
  async takeField(name: string, value: string): Promise<void> {
    const text = value.trim()
    if (!isKnown(name) || !text || this.fields.has(name)) return
    this.fields.set(name, text)
    if (name !== 'access_token' || this.userId !== undefined) return
    const userId = await userOfToken(this.#deps, text)
    this.know(userId)
    for (const { bytes } of this.files) await this.#charge?.(userId, bytes)
  }

  /** A file without a name and content is an input that nobody filled. */
  async takeFile({ content, filename }: FormFile): Promise<void> {
    const path = await this.newPath()
    const head: Uint8Array[] = []
    let bytes = 0
    const form = this
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const chunk of content) {
        if (form.userId === undefined) form.unknown.take(chunk.length)
        if (bytes < sniffedBytes) head.push(chunk.slice(0, sniffedBytes - bytes))
        bytes += chunk.length
        countStreamed(chunk.length)
        yield chunk
      }
    }
    await storeErrors(() =>
      pipeline(counted, createWriteStream(path, { flags: 'wx', mode: 0o600, highWaterMark: 256 * 1024 })),
    )
    if (bytes === 0 && !filename) return
    this.files.push({ path, bytes, name: shownName(filename), head: Buffer.concat(head) })
    if (this.userId !== undefined) await this.#charge?.(this.userId, bytes)
  }
}

/** Who uploads. Throws TokenMissing when the form has no token. */
export function demandUser({ userId }: Pick<ReceivedForm, 'userId'>): number {
  if (userId === undefined) throw new ContractError('TokenMissing')
  return userId
}

/** The files. Throws FileMissing when there are none; who uploads is asked for first (transport.md §6). */
export function demandFiles({ files }: Pick<ReceivedForm, 'files'>): readonly StagedFile[] {
  if (!files.length) throw new ContractError('FileMissing')
  return files
}
