import { createHash } from 'node:crypto'

/** Lower-case hex of MD5 over UTF-8: the form of passwords and login names on the wire (crypto.md §1). It protects nothing. */
export const md5 = (text: string) => createHash('md5').update(text, 'utf8').digest('hex')

export const isMd5 = (text: string) => /^[0-9a-f]{32}$/i.test(text)
