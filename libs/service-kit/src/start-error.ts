/** Why a service does not start: a line for operators that says what to do. It is shown without a stack. */
export class StartError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StartError'
  }
}

/** The servers of an address, without user and password. */
export function hostsOf(url: string): string {
  const [, hosts = ''] = /^[a-z+]+:\/\/(?:[^/?#]*@)?([^/?#]*)/i.exec(url) ?? []
  return hosts || 'its address'
}
