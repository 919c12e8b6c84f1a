import { type ChildProcess, fork } from 'node:child_process'
import { extname, join } from 'node:path'
import type { Logger } from '@im/service-kit'
import type { ImageJob } from './image-jobs.ts'
import type { ImageOutcome } from './image-process-main.ts'

/** Milliseconds that one image may take on a busy machine, the start of the process included. */
const longest = 20_000
/** Milliseconds without work after which the process ends. */
const idleFor = 60_000
/** Decoders compiled to WebAssembly get 320 MiB (pages of 64 KiB), whatever a file makes them ask for. */
const flags = ['--max-old-space-size=128', '--wasm-max-mem-pages=5120']
/** Beside this file, in a bundle as among the sources. */
const program = join(import.meta.dirname, `image-process-main${extname(import.meta.filename)}`)

/** An image that cannot be decoded. */
export class ImageRefusedError extends Error {
  /** It declares so many pixels that it is not even kept. */
  readonly hasTooManyPixels: boolean

  constructor(reason: string, { hasTooManyPixels = false } = {}) {
    super(reason)
    this.hasTooManyPixels = hasTooManyPixels
  }
}

/**
 * Runs decoders of images, which are large programs that read what strangers wrote, in a process of their own: it knows no secrets,
 * has bounded memory, comes behind others when CPU is scarce, and may be killed. It starts with the first image.
 */
export class ImageProcess {
  readonly #log: Logger
  #child: ChildProcess | undefined
  #idle: NodeJS.Timeout | undefined

  constructor(log: Logger) {
    this.#log = log
  }

  /** One job at a time. Throws ImageRefusedError when the image is to blame. */
  async run(job: ImageJob): Promise<void> {
    clearTimeout(this.#idle)
    const child = this.#start()
    const { promise, resolve } = Promise.withResolvers<ImageOutcome>()
    const ended = (code: number | null, signal: string | null) =>
      resolve({ done: false, reason: `the decoder ended with ${signal ?? code}` })
    const failed = (error: Error) => resolve({ done: false, reason: error.message, code: 'ESRCH' })
    const timer = setTimeout(() => {
      resolve({ done: false, reason: 'it took too long' })
      this.#end(child)
    }, longest)
    child.once('message', resolve).once('exit', ended).once('error', failed)
    child.send(job, (error) => error && failed(error))
    const outcome = await promise
    clearTimeout(timer)
    child.off('message', resolve).off('exit', ended).off('error', failed)
    this.#idle = setTimeout(() => this.close(), idleFor)
    this.#idle.unref()
    if (outcome.done) return
    if (outcome.code !== undefined) throw Object.assign(new Error(outcome.reason), { code: outcome.code })
    this.#log.info({ reason: outcome.reason, extension: job.extension }, 'an image was not decoded')
    throw new ImageRefusedError(outcome.reason, outcome)
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle)
    if (this.#child) this.#end(this.#child)
  }

  #start(): ChildProcess {
    if (this.#child) return this.#child
    const { PATH, NODE_COMPILE_CACHE } = process.env
    const env = { ...(PATH ? { PATH } : {}), ...(NODE_COMPILE_CACHE ? { NODE_COMPILE_CACHE } : {}) }
    const stdio = ['ignore', 'ignore', 'ignore', 'ipc'] as const
    const child = fork(program, [], {
      env,
      execArgv: flags,
      stdio: [...stdio],
    })
    child.unref()
    child.channel?.unref()
    child.on('error', () => {})
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined
    })
    this.#child = child
    return child
  }

  #end(child: ChildProcess): void {
    if (this.#child === child) this.#child = undefined
    child.kill('SIGKILL')
  }
}
