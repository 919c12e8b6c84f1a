/** The package brings no types. */
declare module 'heic-decode' {
  interface HeicImage {
    width: number
    height: number
    /** RGBA. */
    decode(): Promise<{ width: number; height: number; data: Uint8ClampedArray }>
  }
  /** Images of a file, none of which is decoded yet; `dispose` frees them. */
  function all(input: { buffer: Uint8Array }): Promise<HeicImage[] & { dispose(): void }>
  const heic: { all: typeof all }
  export default heic
}
