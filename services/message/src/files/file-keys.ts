import { randomBytes } from 'node:crypto'

/** Folders of users: no more than so many stand side by side. */
const folders = 10_000

const isUserId = (text: string) => /^[1-9]\d{0,9}$/.test(text)

/** `o`: the image, `t`: its thumbnail, `f`: any other file. */
export type FilePart = 'o' | 't' | 'f'

/** A new name that nobody can guess, and its key. */
export function newFileKey(owner: number, part: 'o' | 'f', extension: string, now: number) {
  const name = randomBytes(16).toString('hex')
  const month = new Date(now).toISOString().slice(0, 7).replace('-', '')
  return { name, key: `u/${owner % folders}/${owner}/${month}/${part}/${name}.${extension}` }
}

/** The key of an image's thumbnail, a JPEG whatever its extension says. */
export const thumbnailKey = (key: string) => key.replace('/o/', '/t/')
export const originalKey = (key: string) => key.replace('/t/', '/o/')

export const extensionOfKey = (key: string) => key.slice(key.lastIndexOf('.') + 1)

/** The key that the parts of an address name; undefined when no file of ours has such an address. */
export function fileKeyOf(
  address: Record<'folder' | 'userId' | 'month' | 'kind' | 'name', string>,
): string | undefined {
  const { folder, userId, month, kind, name } = address
  if (!isUserId(userId) || folder !== String(Number(userId) % folders)) return undefined
  if (!/^\d{6}$/.test(month) || !/^[otf]$/.test(kind) || !/^[0-9a-f]{32}\.[a-z0-9]{1,10}$/.test(name)) return undefined
  return `u/${folder}/${userId}/${month}/${kind}/${name}`
}

export type AvatarSize = 'o' | 't'
const isSize = (text: string): text is AvatarSize => text === 'o' || text === 't'

export const userAvatarKey = (size: AvatarSize, userId: number) => `avatar/${size}/${userId % folders}/${userId}.jpg`

/** The hash of crypto.md §9: 32 bits with a sign, over the UTF-16 units of the jid. */
function hashOf(jid: string): number {
  let hash = 0
  for (let at = 0; at < jid.length; at++) hash = (Math.imul(31, hash) + jid.charCodeAt(at)) | 0
  return hash
}

export function roomAvatarKey(size: AvatarSize, jid: string): string {
  const hash = hashOf(jid)
  return `avatar/${size}/${Math.abs(hash % 10_000)}/${Math.abs(hash % 20_000)}/${jid}.jpg`
}

/** The key of the avatar that an address names, of a user or (with a subfolder) of a room. */
export function avatarKeyOf(address: {
  kind: string
  folder: string
  subfolder?: string
  name: string
}): string | undefined {
  const { kind, folder, subfolder, name } = address
  const id = /^([\w-]{1,64})\.jpg$/.exec(name)?.[1]
  if (!isSize(kind) || id === undefined) return undefined
  if (subfolder === undefined && !isUserId(id)) return undefined
  const key = subfolder === undefined ? userAvatarKey(kind, Number(id)) : roomAvatarKey(kind, id)
  return key === ['avatar', kind, folder, subfolder, name].filter((part) => part !== undefined).join('/')
    ? key
    : undefined
}
