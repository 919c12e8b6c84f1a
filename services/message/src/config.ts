import { uploadLimits } from '@im/contracts/message'
import { type ConfigOf, peerUrl, setting } from '@im/service-kit'

/** Settings of the message service, also the source of docs/configuration.md. */
export const settings = {
  userUrl: peerUrl('user'),
  socialUrl: peerUrl('social'),
  roomUrl: peerUrl('room'),
  orgUrl: peerUrl('org'),
  xmppDomain: setting.text({
    env: 'XMPP_DOMAIN',
    default: 'im.localhost',
    production: 'required',
    description: 'domain of the XMPP addresses',
  }),
  xmppComponentName: setting.optionalText({
    env: 'XMPP_COMPONENT',
    description: 'name of our component (default `api.` and the domain)',
  }),
  xmppComponentUrl: setting.text({
    env: 'XMPP_COMPONENT_URL',
    default: 'xmpp://127.0.0.1:5347',
    pattern: '^xmpp://[^,]+:\\d+(,\\s*xmpp://[^,]+:\\d+)*$',
    description:
      'component ports of the XMPP servers, separated by commas; a name stands for all the servers that DNS gives it',
  }),
  xmppComponentSecret: setting.text({
    env: 'XMPP_COMPONENT_SECRET',
    default: 'development-component-secret',
    secret: true,
    production: 'own-secret',
    description: 'secret of the component connection',
  }),
  messageRole: setting.choice(['all', 'feed', 'http'], {
    env: 'MESSAGE_ROLE',
    default: 'all',
    description: 'feed: takes what XMPP servers hand on and serves no requests; http: the other way round',
  }),
  archiveBatch: setting.int({
    env: 'ARCHIVE_BATCH',
    default: 250,
    minimum: 1,
    maximum: 1000,
    description: 'most messages stored in one transaction; half the window of the tap keeps it flowing',
  }),
  streamGraceMs: setting.int({
    env: 'STREAM_GRACE_MS',
    default: 5000,
    minimum: 0,
    description: 'how long after a password change the streams of the user are closed; the devices are told before',
  }),
  fileStore: setting.choice(['directory', 's3'], {
    env: 'FILE_STORE',
    default: 'directory',
    description:
      'where uploaded files are kept; replicas on several machines need s3, or a directory that all of them share',
  }),
  fileDirectory: setting.text({
    env: 'FILE_DIRECTORY',
    default: '.data/files',
    description: 'directory of uploaded files',
  }),
  uploadStaging: setting.optionalText({
    env: 'UPLOAD_STAGING',
    description:
      'directory of uploads that are not whole yet; with FILE_STORE=directory on the same file system (default `staging` in FILE_DIRECTORY, else in the temporary directory)',
  }),
  s3Endpoint: setting.optionalText({
    env: 'S3_ENDPOINT',
    description: "address of an S3-compatible server; without it Amazon's",
  }),
  s3Region: setting.text({ env: 'S3_REGION', default: 'us-east-1', description: 'region of the bucket' }),
  s3Bucket: setting.optionalText({ env: 'S3_BUCKET', description: 'bucket of uploaded files, which must exist' }),
  s3AccessKeyId: setting.optionalText({
    env: 'S3_ACCESS_KEY_ID',
    secret: true,
    description: 'access key; without it the usual sources of the AWS SDK, such as the role of the machine',
  }),
  s3SecretAccessKey: setting.optionalText({
    env: 'S3_SECRET_ACCESS_KEY',
    secret: true,
    description: 'secret of the access key',
  }),
  s3PathStyle: setting.flag({
    env: 'S3_PATH_STYLE',
    default: true,
    description: 'addresses such as endpoint/bucket/key, which every server takes; false: bucket.endpoint/key',
  }),
  uploadMaxBytes: setting.int({
    env: 'UPLOAD_MAX_BYTES',
    default: uploadLimits.fileBytes,
    minimum: 1,
    maximum: 1024 ** 3,
    description: 'longest uploaded file; avatars have at most 5 MiB',
  }),
  avatarWithoutToken: setting.choice(['same-ip', 'off'], {
    env: 'AVATAR_WITHOUT_TOKEN',
    default: 'same-ip',
    description:
      'mobile apps send no token with an avatar: same-ip takes it from the address where a live session of the user made a call in the last 10 minutes',
  }),
}

export type MessageConfig = ConfigOf<typeof settings>

/** The domain whose local parts are rooms (spec xmpp.md §7). */
export const roomsDomain = ({ xmppDomain }: Pick<MessageConfig, 'xmppDomain'>) => `muc.${xmppDomain}`

/** Name of our component on the XMPP server. */
export const componentName = ({ xmppComponentName, xmppDomain }: MessageConfig) =>
  xmppComponentName ?? `api.${xmppDomain}`
