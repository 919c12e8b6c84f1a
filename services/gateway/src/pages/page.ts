import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { StartError } from '@im/service-kit'

/** The page of the console and of public accounts: a static application that calls the same paths as JSON. */
export interface Page {
  /** Its HTML, with the CSRF token and the error in `<meta>` elements of the head. */
  show(about: { csrfToken?: string | undefined; error?: string | undefined }): string
}

/** The page that is shown until others are installed; it says so. */
export const plainPage = fileURLToPath(new URL('plain-page.html', import.meta.url))

export function readPage(file: string): Page {
  const html = read(file)
  const at = html.search(/<\/head>/i)
  if (at < 0) throw new StartError(`CONSOLE_PAGE: ${file} is no page: it has no </head>`)
  return {
    show({ csrfToken, error }) {
      const metas = [meta('csrf-token', csrfToken), meta('error', error)].join('')
      return html.slice(0, at) + metas + html.slice(at)
    },
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new StartError(`CONSOLE_PAGE can't be read (${(cause as Error).message})`, { cause })
  }
}

const meta = (name: string, content: string | undefined) =>
  content === undefined ? '' : `<meta name="${name}" content="${escaped(content)}">`

const escaped = (text: string) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
