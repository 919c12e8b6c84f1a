import { once } from 'node:events'
import { request } from 'node:http'

export interface Account {
  userId: number
  token: string
}

/** Sends one file as a form; throws when it is not accepted. Returns the seconds it took. */
export async function send(
  url: string,
  path: string,
  { userId, token }: Account,
  content: Uint8Array,
): Promise<number> {
  const field = (name: string, value: string) =>
    `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  const head = Buffer.from(
    `${field('access_token', token)}${field('userId', String(userId))}--b\r\nContent-Disposition: form-data; name="f"; filename="a.jpg"\r\n\r\n`,
  )
  const end = Buffer.from('\r\n--b--\r\n')
  const startedAt = performance.now()
  const upload = request(url + path, {
    method: 'POST',
    headers: {
      'content-type': 'multipart/form-data; boundary=b',
      'content-length': head.length + content.length + end.length,
    },
  })
  const answered = once(upload, 'response')
  upload.write(head)
  for (let at = 0; at < content.length; at += 256 * 1024)
    if (!upload.write(content.subarray(at, at + 256 * 1024))) await once(upload, 'drain')
  upload.end(end)
  const [answer] = (await answered) as [AsyncIterable<Buffer>]
  let text = ''
  for await (const chunk of answer) text += chunk
  if (!text.includes('"resultCode":1')) throw new Error(`${path} was answered with ${text}`)
  return (performance.now() - startedAt) / 1000
}
