import type { Deps } from '../deps.ts'

/** What tells the limit. */
export interface RecallDeps {
  serverConfig: Pick<Deps['serverConfig'], 'current'>
}

/** How long (ms) after its arrival a message can be recalled; 0 means always. Operators set it in the console. */
export const recallLimitMs = ({ serverConfig }: RecallDeps): number =>
  (serverConfig.current?.recallLimitSeconds ?? 0) * 1000
