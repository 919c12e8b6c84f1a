import { hash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { callerHeader, signCaller } from '@im/service-kit'
import type { Envelope } from '@im/service-kit/testing'
import sharp from 'sharp'
import type { Test } from 'tap'
import { startArchive } from './start-archive.ts'

export const base = 'http://files.test/'

export interface Uploaded {
  oFileName: string
  oUrl: string
  tUrl: string
  status: number
}

export type UploadAnswer = Envelope & {
  data: Record<'images' | 'audios' | 'videos' | 'files' | 'others', Uploaded[]> & { oUrl: string; tUrl: string }
  total: number
  success: number
  failure: number
  time: number
}

export interface Asking {
  /** The caller that the gateway recognised. */
  as?: number
  ip?: string
  method?: string
  headers?: Record<string, string>
}

/** The message service with a directory of its own for files. */
export async function startFiles(t: Test, options: Parameters<typeof startArchive>[1] = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'im-files-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const running = await startArchive(t, {
    ...options,
    env: { FILE_DIRECTORY: folder, ...options.env },
    config: { downloadUrl: base, uploadUrl: base, apiUrl: base, downloadAvatarUrl: base, ...options.config },
  })
  const [key = ''] = running.deps.config.callerKeys

  function headersOf(method: string, url: string, { as, ip = '127.0.0.1', headers = {} }: Asking) {
    const caller =
      as === undefined ? {} : { caller: { userId: as, sessionId: '', device: 'android', kind: 'user' as const } }
    const claims = { ip, requestId: 'test', proto: 'http' as const, host: 'im.test', ...caller }
    return { ...headers, [callerHeader]: signCaller([key], claims, { method, url }) }
  }

  return {
    ...running,
    folder,
    /** Makes a session; gives its token. */
    signIn(userId: number): string {
      const token = randomBytes(16).toString('hex')
      running.user.sessions.set(hash('sha256', token), userId)
      return token
    },
    /** Sends a form, or a body that is meant as one. */
    async send(path: string, body: FormData | RequestInit['body'], asking: Asking = {}): Promise<UploadAnswer> {
      const answer = await fetch(running.url + path, {
        method: 'POST',
        body: body ?? null,
        headers: headersOf('POST', path, asking),
        ...(body instanceof ReadableStream ? { duplex: 'half' } : {}),
      } as RequestInit)
      return (await answer.json()) as UploadAnswer
    },
    /** Reads an address that an answer gave. */
    read(address: string, { method = 'GET', headers = {} }: Asking = {}): Promise<Response> {
      const path = address.startsWith(base) ? address.slice(base.length - 1) : address
      return fetch(running.url + path, { method, headers: headersOf(method, path, { headers }) })
    },
    /** Everything on disk. */
    async onDisk(): Promise<string[]> {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true })
      return entries
        .filter((entry) => !entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    },
  }
}

export const formOf = (fields: Record<string, string>, ...files: [name: string, content: Uint8Array | string][]) => {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  for (const [n, [name, content]] of files.entries()) form.append(`file${n}`, new Blob([content as string]), name)
  return form
}

export const uploadPath = '/upload/UploadServlet'

/** A JPEG with a place in its metadata, lying on its side: `width` × `height` as a person sees it. */
export async function photo(width: number, height: number): Promise<Buffer> {
  return await sharp({ create: { width: height, height: width, channels: 3, background: '#c02040' } })
    .withExif({ IFD3: { GPSLatitude: '39/1 54/1 0/1', GPSLatitudeRef: 'N' }, IFD0: { Make: 'secret camera' } })
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer()
}
