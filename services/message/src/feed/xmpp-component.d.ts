/** The part of @xmpp/component 0.13 (which ships no types) that we use. */
declare module '@xmpp/component' {
  import type { EventEmitter } from 'node:events'
  import type { Socket } from 'node:net'

  export interface Element {
    name: string
    attrs: Record<string, string | undefined>
    children: (Element | string)[]
    parent: Element | null
    is(name: string, xmlns?: string): boolean
    getNS(): string | undefined
    getChild(name: string, xmlns?: string): Element | undefined
    getChildText(name: string, xmlns?: string): string | null
    getChildElements(): Element[]
    text(): string
    toString(): string
  }

  export interface Component extends EventEmitter {
    status: string
    socket: Socket | null
    reconnect: { stop(): void }
    iqCaller: { request(stanza: Element, timeout?: number): Promise<Element> }
    start(): Promise<unknown>
    connect(service: string): Promise<void>
    open(options: { domain: string }): Promise<Element>
    stop(): Promise<unknown>
    write(text: string): Promise<void>
    send(stanza: Element): Promise<void>
    _onData(data: Buffer | string): void
  }

  export function component(options: { service: string; domain: string; password: string }): Component
  export function xml(
    name: string,
    attrs?: Record<string, string | undefined>,
    ...children: (Element | string)[]
  ): Element
}
