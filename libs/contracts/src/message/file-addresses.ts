/** A file of ours as its address tells (spec 12-files.md): `/u/{userId%10000}/{userId}/{yyyyMM}/{o|t|f}/{32hex}.{ext}`. */
export interface FileAddress {
  /** As it stands in the text, from `u/` on. */
  address: string
  owner: number
  /** 32 hex digits: the name of the file, which no other has. */
  name: string
}

const address = /\bu\/\d{1,4}\/(\d{1,10})\/\d{6}\/[otf]\/([0-9a-f]{32})\.[a-z0-9]{1,10}/g

/** The addresses of our files in a text, which may be one of them or hold some. Each file once; whatever host they name. JSON may write `/` as `\/`. */
export function fileAddressesIn(text: string): FileAddress[] {
  const found = new Map<string, FileAddress>()
  for (const [whole, owner, name = ''] of text.replaceAll('\\/', '/').matchAll(address))
    found.set(name, { address: whole, owner: Number(owner), name })
  return [...found.values()]
}
