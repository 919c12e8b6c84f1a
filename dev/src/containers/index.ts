export { type ComposeService, readCompose } from './compose.ts'
