import { createHash } from 'node:crypto'

/** Lower-case hex of MD5 over UTF-8: the wire's form of passwords and login names (crypto.md §1), never a protection. */
export const md5 = (text: string) => createHash('md5').update(text, 'utf8').digest('hex')

export const isMd5 = (text: string) => /^[0-9a-f]{32}$/i.test(text)
