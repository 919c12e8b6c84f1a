import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Days, List, Text } from '../param-types.ts'
import { FlagResult, Nothing, Raw } from '../result-types.ts'

/** Limits of uploads (spec 12-files.md). `UPLOAD_MAX_BYTES` sets how long a file may be. */
export const uploadLimits = {
  files: 20,
  fileBytes: 100 * 1024 * 1024,
  avatarBytes: 5 * 1024 * 1024,
  /** Per user and day. */
  daily: { files: 2000, bytes: 5 * 1024 ** 3 },
} as const

/** Milliseconds that an upload may take: 100 MiB at 1.4 Mbit/s. */
const longestUpload = 600_000

const UploadedFile = Type.Object({
  oFileName: Type.String({ description: 'name of the file as it is shown' }),
  oUrl: Type.String(),
  tUrl: Type.String({ description: 'thumbnail; the same as oUrl where there is none' }),
  status: FlagResult({ description: '1' }),
})

const Avatar = Type.Object({ oUrl: Type.String(), tUrl: Type.String({ description: '200 × 200' }) })

/** The form holds the token, too, so the gateway cannot demand it. */
const form = {
  auth: 'optional',
  body: 'stream',
  signature: 'none',
  timeoutMs: longestUpload,
} as const
/** What a form may say in the query as well. */
const inQuery = () => Type.Optional(Text({ description: 'in the query or in the form' }))
const fieldsOfForm = {
  access_token: Type.Optional(Type.String({ description: 'or in the query, or in Authorization' })),
  userId: Type.Optional(Type.Integer({ description: 'the caller' })),
}
const file = Type.Unsafe<Uint8Array>({ type: 'string', format: 'binary', description: 'under any name' })
const formErrors = [
  ...(['TokenMissing', 'TokenInvalid', 'PermissionDenied'] as const),
  ...(['UploadFailed', 'FileMissing', 'FileTooLarge', 'FileTypeNotAllowed'] as const),
] as const
const mebibyte = 1024 * 1024
/** Longer than an avatar may be, so that a photo that is too long is answered with FileTooLarge. */
const avatarForm = 32 * mebibyte

/** Uploads. Their forms are multipart and read while they arrive: fields and files in any order, files under any name. */
export const uploads = contract('message', {
  uploadFiles: {
    path: '/upload/UploadServlet',
    aliases: ['/upload/UploadVoiceServlet'],
    summary: { zh: '上传文件', en: 'Upload files' },
    ...form,
    params: Type.Object({ userId: inQuery(), validTime: inQuery() }),
    maxBytes: 20 * 1024 * mebibyte,
    form: Type.Object({
      ...fieldsOfForm,
      validTime: Type.Optional(
        Type.Number({ description: 'days, -1 for ever; fileValidTime of the configuration by default' }),
      ),
      file1: file,
    }),
    result: Type.Object({
      images: Type.Array(UploadedFile),
      audios: Type.Array(UploadedFile),
      videos: Type.Array(UploadedFile),
      files: Type.Array(UploadedFile, { description: 'always empty' }),
      others: Type.Array(UploadedFile),
    }),
    members: Type.Object({
      total: Type.Integer(),
      success: Type.Integer(),
      failure: Type.Integer(),
      time: Type.Integer({ description: 'milliseconds it took' }),
    }),
    errors: formErrors,
  },
  uploadAvatar: {
    path: '/upload/UploadAvatarServlet',
    aliases: ['/upload/UploadifyAvatarServlet'],
    summary: { zh: '上传头像', en: 'Replace the own avatar' },
    ...form,
    params: Type.Object({ userId: inQuery() }),
    maxBytes: avatarForm,
    form: Type.Object({ ...fieldsOfForm, file1: file }),
    result: Avatar,
    errors: formErrors,
  },
  uploadRoomAvatar: {
    path: '/upload/GroupAvatarServlet',
    summary: { zh: '上传群头像', en: 'Replace the avatar of a room' },
    ...form,
    params: Type.Object({ userId: inQuery(), jid: inQuery(), roomId: inQuery() }),
    maxBytes: avatarForm,
    form: Type.Object({ ...fieldsOfForm, jid: Type.String({ description: 'jid or id of the room' }), file1: file }),
    result: Avatar,
    errors: [...formErrors, 'RoomNotFound', 'RoomLocked'],
  },
})

/** What users do with files that are stored. */
export const storedFiles = contract('message', {
  copyFile: {
    path: '/upload/copyFile',
    summary: { zh: '文件拷贝', en: 'Copy a file' },
    auth: 'user',
    timeoutMs: 30_000,
    params: Type.Object({
      paths: List({ description: 'address or path of one of our files; the first one counts', minItems: 1 }),
      validTime: Days({ default: -1 }),
    }),
    result: Type.Object({ url: Type.String() }),
    errors: ['FileNotFound'],
  },
  deleteFiles: {
    path: '/upload/deleteFileServlet',
    summary: { zh: '删除文件', en: 'Delete own uploads' },
    auth: 'user',
    timeoutMs: 30_000,
    params: Type.Object({ paths: List({ description: 'addresses; those of others are passed over', maxItems: 100 }) }),
    result: Nothing,
  },
})

const part = () => Text({ maxLength: 64 })
const read = {
  auth: 'none',
  safe: true,
  methods: ['GET', 'HEAD'],
  body: 'stream',
  answer: 'file',
  timeoutMs: 20_000,
  result: Raw('application/octet-stream'),
  errors: ['FileNotFound'],
} as const

/** Files as apps and browsers read them, with Range and ETag. Nobody needs a token: addresses of files hold 128 random bits. */
export const fileReads = contract('message', {
  readFile: {
    ...read,
    path: '/u/:folder/:userId/:month/:kind/:name',
    summary: { zh: '读取文件', en: 'Read a file' },
    params: Type.Object({ folder: part(), userId: part(), month: part(), kind: part(), name: part() }),
  },
  readAvatar: {
    ...read,
    path: '/avatar/:kind/:folder/:name',
    summary: { zh: '读取头像', en: 'Read the avatar of a user' },
    params: Type.Object({ kind: part(), folder: part(), name: part() }),
  },
  readRoomAvatar: {
    ...read,
    path: '/avatar/:kind/:folder/:subfolder/:name',
    summary: { zh: '读取群头像', en: 'Read the avatar of a room' },
    params: Type.Object({ kind: part(), folder: part(), subfolder: part(), name: part() }),
  },
})

/** Asked by the user service. */
export const internalFiles = contract('message', {
  keepFiles: {
    path: '/internal/files/keep',
    summary: { zh: '永久保留文件', en: 'Keep files for ever, because somebody collected them' },
    auth: 'internal',
    params: Type.Object({
      urls: List({ maxItems: 1000, commas: false, description: 'those that are not ours are passed over' }),
    }),
    result: Nothing,
  },
})
