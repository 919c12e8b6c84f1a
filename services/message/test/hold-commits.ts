import type { Deps } from '../src/deps.ts'

/** Keeps what is to be committed waiting from now on: `asked` resolves when the first commit begins, and `release` lets all go. */
export function holdCommits({ outbox }: Pick<Deps, 'outbox'>): { asked: Promise<void>; release(): void } {
  const { commit } = outbox
  const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  outbox.commit = (async (...args: Parameters<typeof commit>) => {
    asked.resolve()
    await gate.promise
    return await commit.apply(outbox, args)
  }) as typeof commit
  return { asked: asked.promise, release: () => gate.resolve() }
}
