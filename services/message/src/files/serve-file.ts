import { ContractError, RawAnswer, type RequestInfo } from '@im/contracts'
import fresh from 'fresh'
import { parse as parseRange } from 'range-parser'
import type { Deps } from '../deps.ts'
import type { StoredFile } from './file-store.ts'

export interface Shown {
  /** Undefined: it is downloaded, not shown. */
  type: string | undefined
  /** Whether the address may hold another content later. */
  mayChange: boolean
}

/** Whatever a file holds, it does nothing in the name of our address. */
const harmless = {
  'content-security-policy': "default-src 'none'; sandbox",
  'cross-origin-resource-policy': 'cross-origin',
  'x-content-type-options': 'nosniff',
}

/** Answers a file, or the part of it that is asked for (RFC 9110 §13 and §14). Throws FileNotFound. */
export async function serveFile(
  { fileStore }: Pick<Deps, 'fileStore'>,
  key: string,
  { type, mayChange }: Shown,
  request: Pick<RequestInfo, 'method' | 'headers'>,
): Promise<RawAnswer> {
  const file = await fileStore.open(key)
  if (!file) throw new ContractError('FileNotFound')
  const always = {
    ...harmless,
    'accept-ranges': 'bytes',
    'cache-control': mayChange ? 'no-cache' : 'public, max-age=31536000, immutable',
    etag: file.etag,
    'last-modified': file.modifiedAt.toUTCString(),
  }
  const about = {
    'content-type': type ?? 'application/octet-stream',
    ...(type === undefined ? { 'content-disposition': 'attachment' } : {}),
  }
  try {
    if (isFresh(request, always)) return await withoutBody(file, 304, always)
    const range = rangeOf(request, file)
    if (range === 'outside')
      return await withoutBody(file, 416, { ...always, 'content-range': `bytes */${file.bytes}` })
    const { start, end } = range ?? { start: 0, end: file.bytes - 1 }
    const headers = {
      ...always,
      ...about,
      'content-length': String(end - start + 1),
      ...(range ? { 'content-range': `bytes ${start}-${end}/${file.bytes}` } : {}),
    }
    const status = range ? 206 : 200
    if (request.method === 'HEAD' || file.bytes === 0) return await withoutBody(file, status, headers)
    return new RawAnswer(await file.read({ start, end }), { status, headers })
  } catch (error) {
    await file.close()
    throw error
  }
}

async function withoutBody(file: StoredFile, status: number, headers: Record<string, string>): Promise<RawAnswer> {
  await file.close()
  return new RawAnswer('', { status, headers })
}

/** Whether the client has this content already. */
function isFresh({ headers }: Pick<RequestInfo, 'headers'>, about: { etag: string; 'last-modified': string }): boolean {
  const { 'if-none-match': tags, 'if-modified-since': since } = headers
  return fresh({ 'if-none-match': tags, 'if-modified-since': since }, about)
}

/** Bits of the parser's `code`. */
const malformed = 1
const outside = 2

/** One range of a GET; several are answered with the whole file, as RFC 9110 allows. */
function rangeOf({ method, headers }: Pick<RequestInfo, 'method' | 'headers'>, file: StoredFile) {
  const { range, 'if-range': condition } = headers
  if (method !== 'GET' || range === undefined || !holds(condition, file)) return undefined
  const { type, code, ranges } = parseRange(file.bytes, range)
  if (type !== 'bytes' || code & malformed) return undefined
  if (!ranges.length) return code & outside ? 'outside' : undefined
  return ranges.length === 1 ? ranges[0] : undefined
}

/** If-Range: the tag, or exactly the time of the last change (RFC 9110 §13.1.5). */
function holds(condition: string | undefined, { etag, modifiedAt }: StoredFile): boolean {
  if (condition === undefined) return true
  if (condition.startsWith('"') || condition.startsWith('W/')) return condition === etag
  return Date.parse(condition) === Math.floor(modifiedAt.getTime() / 1000) * 1000
}
