import { createReadStream, createWriteStream } from 'node:fs'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { getContainerRuntimeClient, type StartedTestContainer } from 'testcontainers'

/** Any image with a shell; all others start from it. */
const image = 'debian:bookworm-slim'

/** Takes from a container that is down what it keeps in a volume. */
export async function emptyVolume(container: StartedTestContainer, folder: string): Promise<void> {
  const { container: containers } = await getContainerRuntimeClient()
  const emptier = await containers.create({
    Image: image,
    Cmd: ['find', folder, '-mindepth', '1', '-delete'],
    name: `empty.${container.getName().replace(/^\//, '')}`,
    HostConfig: { VolumesFrom: [container.getId()], NetworkMode: 'none' },
  })
  try {
    await emptier.start()
    const { StatusCode } = (await emptier.wait()) as { StatusCode: number }
    if (StatusCode !== 0) throw new Error(`${folder} of ${container.getName()} could not be emptied`)
  } finally {
    await emptier.remove({ force: true })
  }
}

/** Copies what a container that is down keeps in a volume into a file. */
export async function saveVolume(container: StartedTestContainer, folder: string, file: string): Promise<void> {
  const { container: containers } = await getContainerRuntimeClient()
  const archive = await containers.getById(container.getId()).getArchive({ path: folder })
  await pipeline(archive, createWriteStream(file))
}

/** Puts what `saveVolume` has copied in place of what is there. The container is down. */
export async function restoreVolume(container: StartedTestContainer, folder: string, file: string): Promise<void> {
  await emptyVolume(container, folder)
  const { container: containers } = await getContainerRuntimeClient()
  await containers.getById(container.getId()).putArchive(createReadStream(file), { path: dirname(folder) })
}
