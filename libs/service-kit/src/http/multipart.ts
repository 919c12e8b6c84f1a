import { type EventEmitter, on } from 'node:events'
import { pipeline } from 'node:stream/promises'
import { Busboy, type BusboyConfig, type BusboyFileStream } from '@fastify/busboy'
import { ContractError } from '@im/contracts'

/** RFC 2046 §5.1.1. Searching for longer ones is slow. */
const longestBoundary = 70

const unreadable = () => new ContractError('InvalidParams', { detail: 'the multipart body could not be read' })

/** Calls `add` with each field of a multipart form. Files are skipped. */
export function readMultipartFields(
  body: Uint8Array,
  contentType: string,
  maxFields: number,
  add: (name: string, value: string) => void,
): Promise<void> {
  const boundary = boundaryOf(contentType)
  if (countUpTo(body, `--${boundary}`, maxFields + 2) > maxFields + 1)
    throw new ContractError('RequestTooLarge', { detail: `more than ${maxFields} parameters` })
  return new Promise<void>((resolve, reject) => {
    const parser = parserOf(contentType, { fieldSize: body.length })
    parser.on('field', (name, value) => {
      if (typeof name === 'string') add(name, value)
    })
    // A file that is cut off emits an error of its own.
    parser.on('file', (_name, file) => file.on('error', () => {}).resume())
    parser.on('error', () => reject(unreadable()))
    parser.on('finish', resolve)
    parser.end(body)
  })
}

export interface FormField {
  name: string
  value: string
}

export interface FormFile {
  name: string
  /** As the client says, without its folders: UTF-8, `filename*` (RFC 5987) or GBK. */
  filename: string
  /** As the client says. */
  type: string
  /** Throws FileTooLarge when it is longer than allowed, UploadFailed when it is cut off. What is not read is dropped. */
  content: AsyncIterable<Uint8Array>
}

/**
 * Reads a multipart form while it arrives (`body: 'stream'`), part by part in the order of sending. A file must be read before
 * the next part is asked for. Throws UploadFailed when the body is not a form.
 */
export async function* readMultipart(
  body: AsyncIterable<Uint8Array>,
  contentType: string | undefined,
  limits: { fileBytes: number; files: number },
): AsyncGenerator<FormField | FormFile> {
  const parser = uploadParser(contentType, limits)
  const parts = on(parser, 'part', { close: ['finish', 'close'] })
  const files = emitParts(parser)
  const sending = pipeline(body, parser).catch((cause: unknown) => {
    const error = cause instanceof ContractError ? cause : new ContractError('UploadFailed', { cause })
    for (const file of files) file.destroy(error)
    throw error
  })
  sending.catch(() => {})
  try {
    for await (const [part] of parts) {
      yield part as FormField | FormFile
      if ('file' in part) part.file.resume()
    }
    await sending
  } catch (error) {
    // The parser's own error says little; `sending` rejects with the ContractError.
    await sending
    throw error
  } finally {
    parser.destroy()
  }
}

/**
 * The parser takes the names of parts for UTF-8, and `filename` before `filename*`. Some apps write names in GBK, whose bytes would
 * be lost and may be a backslash, and `filename*` is the better name (RFC 6266 §4.3): heads are written anew before the parser
 * sees them.
 */
function readAllNames(parser: BusboyInstance): void {
  const { parser: dicer } = (parser as unknown as { _parser: { parser: EventEmitter } })._parser
  dicer.prependListener('part', (part: EventEmitter) =>
    part.on('header', (header: Record<string, string[]>) => {
      const [disposition] = header['content-disposition'] ?? []
      if (disposition !== undefined) header['content-disposition'] = [withOneName(asUtf8(disposition))]
    }),
  )
}

const withOneName = (disposition: string) =>
  /;\s*filename\*=/i.test(disposition) ? disposition.replace(/;\s*filename="(?:[^"\\]|\\.)*"/i, '') : disposition

const strictUtf8 = new TextDecoder('utf-8', { fatal: true })
const gbk = new TextDecoder('gb18030')

/** Takes and gives bytes as text of Latin-1. */
function asUtf8(latin1: string): string {
  if (!/[\x80-\xff]/.test(latin1)) return latin1
  const bytes = Buffer.from(latin1, 'latin1')
  try {
    strictUtf8.decode(bytes)
    return latin1
  } catch {
    return Buffer.from(gbk.decode(bytes)).toString('latin1')
  }
}

/** Emits fields and files as one kind of event, in their order. Returns the list of files, which grows. */
function emitParts(parser: BusboyInstance): BusboyFileStream[] {
  const files: BusboyFileStream[] = []
  parser.on('field', (name, value, _nameTruncated, valueTruncated) => {
    if (valueTruncated) parser.destroy(new ContractError('RequestTooLarge', { detail: String(name) }))
    else if (typeof name === 'string') parser.emit('part', { name, value })
  })
  parser.on('file', (name, file, filename, _encoding, type) => {
    file.on('error', () => {})
    files.push(file)
    // Not at its end: it may have none.
    file.on('limit', () => {
      const tooLarge = new ContractError('FileTooLarge')
      file.destroy(tooLarge)
      parser.destroy(tooLarge)
    })
    parser.emit('part', { name: String(name), filename: filename ?? '', type, content: contentOf(file), file })
  })
  const refuse = () => parser.destroy(new ContractError('InvalidParams', { detail: 'too many parts' }))
  parser.on('filesLimit', refuse).on('partsLimit', refuse)
  return files
}

async function* contentOf(file: BusboyFileStream): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of file) yield chunk as Uint8Array
  } catch (cause) {
    throw cause instanceof ContractError ? cause : new ContractError('UploadFailed', { cause })
  }
}

function uploadParser(
  contentType: string | undefined,
  { fileBytes, files }: { fileBytes: number; files: number },
): BusboyInstance {
  try {
    boundaryOf(contentType ?? '')
    const parser = parserOf(contentType ?? '', { fieldSize: 64 * 1024, fileSize: fileBytes, files, parts: files + 100 })
    readAllNames(parser)
    return parser
  } catch (cause) {
    throw new ContractError('UploadFailed', { cause })
  }
}

type BusboyInstance = InstanceType<typeof Busboy>

const parserOf = (contentType: string, limits: BusboyConfig['limits']): BusboyInstance =>
  new Busboy({ headers: { 'content-type': contentType }, limits: { fieldNameSize: 1024, headerPairs: 20, ...limits } })

export function boundaryOf(contentType: string): string {
  const found = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*(?:;|$)/i.exec(contentType)
  const boundary = found?.[1] ?? found?.[2]
  if (!boundary || boundary.length > longestBoundary) throw unreadable()
  return boundary
}

/** Counts how often `text` occurs in `body`, and stops at `most`. */
function countUpTo(body: Uint8Array, text: string, most: number): number {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  let count = 0
  for (let at = bytes.indexOf(text); at >= 0 && count < most; at = bytes.indexOf(text, at + text.length)) count++
  return count
}
