export { type ComposeService, interpolate, readCompose } from './compose.ts'
