export { timelineOf } from './timeline.ts'
export { forget, type TortureOptions, type TortureReport, torture } from './torture.ts'
