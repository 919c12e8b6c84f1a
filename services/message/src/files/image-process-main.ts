/** The process in which images are decoded: see image-process.ts. */
import { readdirSync, writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import { type ImageJob, limitImageLibrary, makeImages, TooManyPixelsError } from './image-jobs.ts'

/** What became of a job. `code`: of the disk, which is no fault of the image. */
export type ImageOutcome = { done: true } | { done: false; reason: string; code?: string; hasTooManyPixels?: boolean }

/**
 * Others come first, and are killed last where memory is short. Niceness is a matter of threads on Linux, of which there are some
 * already.
 */
function comeBehindOthers(): void {
  const niceness = 10
  try {
    for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), niceness)
    writeFileSync('/proc/self/oom_score_adj', '1000')
  } catch {
    setPriority(niceness)
  }
}

/**
 * Bytes of memory. What a decoder takes does not follow from the size of an image: a PNG of a million pixels by fifty takes twice as
 * much as any photo.
 */
const mostMemory = 600 * 1024 * 1024
const lookEvery = 20

/** Ends the process rather than that it fills the memory that the service has, too. libvips works beside this thread. */
function boundMemory(): { [Symbol.dispose](): void } {
  const timer = setInterval(() => {
    if (process.memoryUsage.rss() > mostMemory) process.kill(process.pid, 'SIGKILL')
  }, lookEvery)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

comeBehindOthers()
limitImageLibrary()
process.on('disconnect', () => process.exit(0))
process.on('message', async (job: ImageJob) => {
  using _bound = boundMemory()
  const outcome: ImageOutcome = await makeImages(job).then(
    () => ({ done: true as const }),
    (error: NodeJS.ErrnoException) => ({
      done: false as const,
      reason: String(error?.message ?? error),
      hasTooManyPixels: error instanceof TooManyPixelsError,
      ...(error?.code?.startsWith?.('E') && error.syscall ? { code: error.code } : {}),
    }),
  )
  process.send?.(outcome)
})
