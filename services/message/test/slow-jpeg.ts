/**
 * A grey JPEG (progressive, ITU T.81 G) of nearly 50 million pixels that goes over all of them so many times, each time to say that
 * nothing changes: 266 kB for all of its 883 scans.
 */
export function slowJpeg(scans: number): Buffer {
  const side = 7064
  const blocks = (side / 8) ** 2
  const segment = (marker: number, data: readonly number[]) =>
    Buffer.from([0xff, marker, (data.length + 2) >> 8, (data.length + 2) & 255, ...data])
  const size = [side >> 8, side & 255]
  /** Two codes of two bits: the first for a run of blocks that end here, or of no difference. */
  const codes = (kind: 0 | 1, symbols: readonly number[]) =>
    segment(0xc4, [kind << 4, 0, symbols.length, ...Array<number>(14).fill(0), ...symbols])
  const refining = endedBlocks(blocks)
  const later: Buffer[] = []
  for (let bit = 13; bit >= 0; bit--)
    for (let coefficient = 1; coefficient < 64; coefficient++) {
      const precision = bit === 13 ? bit : ((bit + 1) << 4) | bit
      later.push(segment(0xda, [1, 1, 0, coefficient, coefficient, precision]), refining)
    }
  return Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    segment(0xdb, [0, ...Array<number>(64).fill(1)]),
    segment(0xc2, [8, ...size, ...size, 1, 1, 0x11, 0]),
    codes(0, [0]),
    codes(1, [0xe0, 0]),
    segment(0xda, [1, 1, 0, 0, 0, 0]),
    Buffer.alloc(Math.ceil(blocks / 4)),
    ...later.slice(0, 2 * (scans - 1)),
    Buffer.from([0xff, 0xd9]),
  ])
}

/** So many blocks without a coefficient: runs of 16384 blocks and more have 14 bits behind the code, single ones none. */
function endedBlocks(blocks: number): Buffer {
  let bits = ''
  for (let left = blocks; left > 0; ) {
    const run = left >= 16384 ? Math.min(left, 32767) : 1
    bits += run === 1 ? '01' : `00${(run - 16384).toString(2).padStart(14, '0')}`
    left -= run
  }
  const bytes = bits.match(/.{1,8}/g) ?? []
  return Buffer.from(
    bytes.flatMap((byte) => {
      const value = Number.parseInt(byte.padEnd(8, '1'), 2)
      return value === 0xff ? [0xff, 0] : [value]
    }),
  )
}
