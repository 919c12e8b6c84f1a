export { mostDelay } from './judge-calls.ts'
export { longestGap } from './judge-streams.ts'
export { allProcesses, forgetNoon, type NoonOptions, type NoonReport, noon } from './noon.ts'
