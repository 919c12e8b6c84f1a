export { type Dashboard, grafanaJson } from './dashboard.ts'
export { dashboards } from './dashboards.ts'
