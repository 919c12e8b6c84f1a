import { Resvg } from '@resvg/resvg-js'
import { create } from 'svg-captcha'

/** Letters and digits nobody takes for another. */
const alphabet = 'ABCDEFGHJKMNPQRTUVWXY346789'

/** Four distorted characters as a PNG of 140x50. Glyphs are drawn as paths, so no font is needed. */
export function drawCode(): { code: string; png: Uint8Array } {
  const look = { width: 140, height: 50, fontSize: 46, noise: 3, color: true, background: '#f4f6f8' }
  const { text, data } = create({ ...look, size: 4, charPreset: alphabet })
  return { code: text, png: new Resvg(data).render().asPng() }
}
