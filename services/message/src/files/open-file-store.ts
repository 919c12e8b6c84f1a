import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isHttpAddress } from '@im/service-kit'
import type { MessageConfig } from '../config.ts'
import { DirectoryStore } from './directory-store.ts'
import type { FileStore } from './file-store.ts'
import { S3Store } from './s3-store.ts'
import type { Staging } from './staging.ts'

/** The store that the settings name. Nothing is opened before it is used. */
export function openFileStore(config: MessageConfig, staging: Staging): FileStore {
  if (config.fileStore === 'directory') return new DirectoryStore(config.fileDirectory, staging)
  const { s3AccessKeyId: accessKeyId, s3SecretAccessKey: secretAccessKey } = config
  return new S3Store({
    bucket: config.s3Bucket ?? '',
    region: config.s3Region,
    endpoint: config.s3Endpoint,
    credentials: accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : undefined,
    pathStyle: config.s3PathStyle,
  })
}

export const stagingFolder = ({ uploadStaging, fileStore, fileDirectory }: MessageConfig): string =>
  uploadStaging ?? join(fileStore === 'directory' ? fileDirectory : tmpdir(), 'staging')

/** Problems that no single setting shows. */
export function checkFileSettings(config: MessageConfig): string[] {
  const problems: string[] = []
  if (config.fileStore === 's3' && !config.s3Bucket) problems.push('S3_BUCKET must be set for FILE_STORE=s3')
  if (config.s3Endpoint !== undefined && !isHttpAddress(config.s3Endpoint))
    problems.push('S3_ENDPOINT must be an address such as https://s3.example.com')
  if (!config.s3AccessKeyId !== !config.s3SecretAccessKey)
    problems.push('S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY belong together')
  return problems
}
