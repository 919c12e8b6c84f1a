/** Told of what the feeds learn of their servers as a whole. */
export interface FeedWatcher {
  /** The server has told all its streams. */
  ready?(server: string, epoch: number): void
  /** Its connection is over: nothing is known of its streams. */
  lost?(server: string, epoch: number): void
}

export class FeedWatchers implements Required<FeedWatcher> {
  readonly #watchers: FeedWatcher[] = []

  add(watcher: FeedWatcher): void {
    this.#watchers.push(watcher)
  }

  ready(server: string, epoch: number): void {
    for (const watcher of this.#watchers) watcher.ready?.(server, epoch)
  }

  lost(server: string, epoch: number): void {
    for (const watcher of this.#watchers) watcher.lost?.(server, epoch)
  }
}
