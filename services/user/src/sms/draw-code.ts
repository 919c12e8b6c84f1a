import { randomInt } from 'node:crypto'
import { renderAsync } from '@resvg/resvg-js'
import { glyphs } from './glyphs.ts'

const width = 140
const height = 50
const length = 4
/** The glyphs are strokes, so the fonts of the system need not be searched, which takes 15 ms. */
const renderOptions = { font: { loadSystemFonts: false } }

/**
 * Draws four characters as a PNG of 140x50. Place, size, angle and width of the strokes change, they lie on a wave, touch each
 * other, and are crossed by lines of the same colour. A thread of the pool renders the image.
 */
export async function drawCode(): Promise<{ code: string; png: Uint8Array }> {
  const characters = Object.keys(glyphs)
  const code = Array.from({ length }, () => characters[randomInt(characters.length)]).join('')
  const image = await renderAsync(drawing(code), renderOptions)
  return { code, png: image.asPng() }
}

type Move = (x: number, y: number) => [number, number]

function drawing(code: string): string {
  const colour = `hsl(${randomInt(360)} 55% ${randomInt(25, 40)}%)`
  const wave = waveOf()
  const texts = [...code].map((character, index) => stroke(glyphs[character] ?? '', placed(index, wave), [2.6, 4.2]))
  const lines = Array.from({ length: 3 }, () => stroke(line(), wave, [0.9, 1.8]))
  const dots = Array.from(
    { length: 40 },
    () => `<circle cx="${between(0, width)}" cy="${between(0, height)}" r="0.9"/>`,
  )
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
    `<rect width="100%" height="100%" fill="#f4f6f8"/><g fill="${colour}">${dots.join('')}</g>` +
    `<g fill="none" stroke="${colour}" stroke-linecap="round" stroke-linejoin="round">` +
    `${[...texts, ...lines].join('')}</g></svg>`
  )
}

/** Moves a point of a glyph to its place in the image: turned, slanted, and of another size each time. */
function placed(index: number, wave: Move): Move {
  const [turn, slant] = [between(-0.35, 0.35), between(-0.25, 0.25)]
  const [sizeX, sizeY] = [between(1.9, 2.3), between(1.9, 2.4)]
  const [middleX, middleY] = [23 + index * 31 + between(-3, 3), 25 + between(-4, 4)]
  return (x, y) => {
    const [left, up] = [(x - 5 + slant * (7 - y)) * sizeX, (y - 7) * sizeY]
    return wave(
      middleX + left * Math.cos(turn) - up * Math.sin(turn),
      middleY + left * Math.sin(turn) + up * Math.cos(turn),
    )
  }
}

function waveOf(): Move {
  const [phaseX, phaseY] = [between(0, 6), between(0, 6)]
  const [lengthX, lengthY] = [between(9, 14), between(12, 20)]
  return (x, y) => [x + 2 * Math.sin(y / lengthX + phaseX), y + 3 * Math.sin(x / lengthY + phaseY)]
}

/** A line from the left side to the right, through the characters. */
const line = () =>
  `M-5 ${between(5, 45)} Q${between(20, 60)} ${between(-5, 55)} ${between(60, 85)} ${between(10, 40)} ` +
  `Q${between(85, 120)} ${between(-5, 55)} 145 ${between(5, 45)}`

function stroke(path: string, move: Move, [thin, thick]: [number, number]): string {
  const moved = path.replace(/(-?[\d.]+) (-?[\d.]+)/g, (_, x, y) =>
    move(Number(x), Number(y))
      .map((value) => value.toFixed(1))
      .join(' '),
  )
  return `<path d="${moved}" stroke-width="${between(thin, thick)}"/>`
}

const between = (from: number, to: number) => Number((from + ((to - from) * randomInt(10_000)) / 10_000).toFixed(2))
