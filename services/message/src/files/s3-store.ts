import { open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { StoreAwayError } from '@im/service-kit'
import PQueue from 'p-queue'
import type { FileStore, StoredFile } from './file-store.ts'
import { storeErrors } from './store-errors.ts'

export interface S3Settings {
  bucket: string
  region: string
  /** Of a server other than Amazon's. */
  endpoint?: string | undefined
  /** Without it the usual sources of the SDK: environment, files, roles of the machine. */
  credentials?: { accessKeyId: string; secretAccessKey: string } | undefined
  /** `endpoint/bucket/key` in the place of `bucket.endpoint/key`. */
  pathStyle: boolean
  /** How long (ms) nothing may move on a connection: a store that froze, or an app that reads no further, holds nothing for ever. */
  longestPause?: number
}

type Sdk = typeof import('@aws-sdk/client-s3')

/** Most requests of one removal at once. */
const removalsAtOnce = 8
/** Each file that is read holds a connection for as long as its app takes: those of a few gateways (of the SDK's 50, few slow apps held all). */
const agent = { maxSockets: 4096 }

const statusOf = (error: unknown) => (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode
/** There is no such object. That there is no such bucket has the same status, but is a fault of the settings. */
const isMissing = (error: unknown) => statusOf(error) === 404 && (error as Error).name !== 'NoSuchBucket'
/** The file was replaced between the look and the read. */
const isReplaced = (error: unknown) => statusOf(error) === 412

/** Keeps files in a bucket of an S3-compatible store. The SDK is loaded where it is used only: it is large. */
export class S3Store implements FileStore {
  readonly #settings: S3Settings
  #opening: Promise<{ sdk: Sdk; client: S3Client }> | undefined

  constructor(settings: S3Settings) {
    this.#settings = settings
  }

  async put(key: string, localFile: string, { bytes, type }: { bytes: number; type: string }): Promise<void> {
    const file = await storeErrors(() => open(localFile))
    const body = file.createReadStream({ highWaterMark: 256 * 1024 })
    try {
      const stored = await this.#ask(({ sdk, client }) =>
        client.send(
          new sdk.PutObjectCommand({
            ...this.#object(key),
            Body: body,
            ContentLength: bytes,
            ContentType: type,
          }),
        ),
      )
      // A page that something else answers in the place of the store has no tag.
      if (!stored?.ETag) throw new StoreAwayError('S3', 'the answer names no object that was stored')
    } finally {
      // A request that failed early has not read it.
      body.destroy()
    }
  }

  async open(key: string): Promise<StoredFile | undefined> {
    const head = await this.#ask(({ sdk, client }) => client.send(new sdk.HeadObjectCommand(this.#object(key))))
    if (!head) return undefined
    const { ContentLength: bytes = 0, ETag: etag = `"${key}"`, LastModified: modifiedAt = new Date(0) } = head
    return {
      bytes,
      etag,
      modifiedAt,
      read: async ({ start, end }) => {
        const answer = await this.#ask(({ sdk, client }) =>
          client.send(
            new sdk.GetObjectCommand({ ...this.#object(key), IfMatch: etag, Range: `bytes=${start}-${end}` }),
          ),
        )
        if (!answer?.Body) throw new StoreAwayError('S3', `${key} was removed or replaced while it was read`)
        return answer.Body as Readable
      },
      async close() {},
    }
  }

  async copy(from: string, to: string): Promise<boolean> {
    const { bucket } = this.#settings
    const answer = await this.#ask(({ sdk, client }) =>
      client.send(new sdk.CopyObjectCommand({ ...this.#object(to), CopySource: `${bucket}/${from}` })),
    )
    return answer !== undefined
  }

  async remove(keys: readonly string[]): Promise<void> {
    const queue = new PQueue({ concurrency: removalsAtOnce })
    await queue.addAll(
      keys.map((key) => async () => {
        await this.#ask(({ sdk, client }) => client.send(new sdk.DeleteObjectCommand(this.#object(key))))
      }),
    )
  }

  async close(): Promise<void> {
    const opened = await this.#opening?.catch(() => undefined)
    opened?.client.destroy()
  }

  #object = (key: string) => ({ Bucket: this.#settings.bucket, Key: key })

  /** Undefined when there is no such object. */
  async #ask<T>(request: (opened: { sdk: Sdk; client: S3Client }) => Promise<T>): Promise<T | undefined> {
    this.#opening ??= openClient(this.#settings)
    const opened = await this.#opening
    try {
      return await request(opened)
    } catch (error) {
      if (isMissing(error) || isReplaced(error)) return undefined
      throw new StoreAwayError('S3', (error as Error).name, { cause: error })
    }
  }
}

async function openClient({ region, endpoint, credentials, pathStyle, longestPause = 30_000 }: S3Settings) {
  const sdk = await import('@aws-sdk/client-s3')
  const client = new sdk.S3Client({
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials ? { credentials } : {}),
    forcePathStyle: pathStyle,
    // Sums in trailers are a recent addition of Amazon's, which other servers refuse.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 3000, socketTimeout: longestPause, httpAgent: agent, httpsAgent: agent },
    // It would write on the terminal; what fails is thrown and logged by us.
    logger: { trace() {}, debug() {}, info() {}, warn() {}, error() {} },
  })
  return { sdk, client }
}
