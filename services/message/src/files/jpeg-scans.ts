const [startOfScan, endOfImage] = [0xda, 0xd9]
/** Markers without a segment: a stuffed zero, TEM, RST0 to RST7 and SOI. */
const standsAlone = (marker: number) => marker <= 1 || (marker >= 0xd0 && marker <= 0xd8)

/** How many times a JPEG goes over its pixels (ITU T.81 B.1.1): cameras and browsers make 10 scans at most, a small file may have thousands. */
export function scansOf(file: Buffer): number {
  let scans = 0
  for (let at = 2; at >= 0 && at + 4 <= file.length; ) {
    const marker = file[at + 1]!
    if (file[at] !== 0xff) at = file.indexOf(0xff, at)
    else if (marker === 0xff) at++
    else if (marker === endOfImage) break
    else if (standsAlone(marker)) at += 2
    else {
      if (marker === startOfScan) scans++
      at += 2 + file.readUInt16BE(at + 2)
    }
  }
  return scans
}
