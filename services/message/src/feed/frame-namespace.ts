/** Frames between XMPP servers and us (deploy/xmpp/README.md) change with this number. */
export const frameVersion = '3'

const anyVersion = 'urn:yingchuang:im:'

export const frameNamespace = `${anyVersion}${frameVersion}`

/** Whether the namespace is that of frames of any version. */
export const isOfFrames = (namespace: string | undefined): boolean => namespace?.startsWith(anyVersion) === true

/** The XMPP server and we are of releases that don't understand each other. */
export class VersionMismatch extends Error {
  constructor(version: string | undefined) {
    super(`the XMPP server speaks version ${version} of the frames, this service version ${frameVersion}`)
    this.name = 'VersionMismatch'
  }
}
