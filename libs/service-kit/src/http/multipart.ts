import { Busboy, type BusboyHeaders } from '@fastify/busboy'
import { ContractError } from '@im/contracts'

/** RFC 2046 §5.1.1. Longer ones make the search for them slow. */
const longestBoundary = 70

const unreadable = () => new ContractError('InvalidParams', { detail: 'the multipart body could not be read' })

/** Gives the fields of a multipart form to `add`. Files are left out. */
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
    const parser = new Busboy({
      headers: { 'content-type': contentType } as BusboyHeaders,
      limits: { fieldSize: body.length, fieldNameSize: 1024, headerPairs: 20 },
    })
    parser.on('field', add)
    parser.on('file', (_name, file) => file.resume())
    parser.on('error', () => reject(unreadable()))
    parser.on('finish', resolve)
    parser.end(body)
  })
}

export function boundaryOf(contentType: string): string {
  const found = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*(?:;|$)/i.exec(contentType)
  const boundary = found?.[1] ?? found?.[2]
  if (!boundary || boundary.length > longestBoundary) throw unreadable()
  return boundary
}

/** Counts how often `text` stands in `body`, and stops at `most`. */
function countUpTo(body: Uint8Array, text: string, most: number): number {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  let count = 0
  for (let at = bytes.indexOf(text); at >= 0 && count < most; at = bytes.indexOf(text, at + text.length)) count++
  return count
}
