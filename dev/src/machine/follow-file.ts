import { closeSync, openSync, readSync, unwatchFile, watchFile } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'

/** Gives each whole line that is appended to an existing file after `position`, within a quarter of a second. */
export function followFile(file: string, position: number, onLine: (line: string) => void): { close(): void } {
  const handle = openSync(file, 'r')
  const decoder = new StringDecoder('utf8')
  const chunk = Buffer.alloc(64 * 1024)
  let at = position
  let rest = ''
  const read = () => {
    for (;;) {
      const length = readSync(handle, chunk, 0, chunk.length, at)
      if (length === 0) return
      at += length
      const lines = (rest + decoder.write(chunk.subarray(0, length))).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) onLine(line)
    }
  }
  // Polling works on every file system; notifications do not.
  watchFile(file, { interval: 250, persistent: false }, read)
  let open = true
  return {
    close() {
      if (!open) return
      open = false
      unwatchFile(file, read)
      read()
      closeSync(handle)
      if (rest) onLine(rest)
    },
  }
}
