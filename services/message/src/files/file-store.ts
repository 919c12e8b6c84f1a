import type { Readable } from 'node:stream'

/** Where files are kept. Keys are the paths of their addresses, such as `avatar/o/1/10000001.jpg`: nothing of a client is in them. */
export interface FileStore {
  /** Stores a local file, whole or not at all, in the place of what the key held before. The local file may be moved. */
  put(key: string, localFile: string, info: { bytes: number; type: string }): Promise<void>
  /** Undefined when there is no such file. What is opened must be read or closed. */
  open(key: string): Promise<StoredFile | undefined>
  /** False when there is no such file. */
  copy(from: string, to: string): Promise<boolean>
  /** What does not exist is no error. */
  remove(keys: readonly string[]): Promise<void>
  close(): Promise<void>
}

export interface StoredFile {
  bytes: number
  /** Strong entity tag, with its quotes: another one for another content. */
  etag: string
  modifiedAt: Date
  /** The bytes from `start` to `end`, both included. Closes the file at its end. */
  read(range: { start: number; end: number }): Promise<Readable>
  close(): Promise<void>
}
