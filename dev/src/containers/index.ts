export { type ComposeService, interpolate, readCompose } from './compose.ts'
export { ComposeContainer, type ContainerPlace, endContainer, logsOf } from './compose-container.ts'
export { emptyVolume, restoreVolume, saveVolume } from './kept-data.ts'
export { choosePorts, storePorts, storeSettings, storeUrls } from './stores.ts'
