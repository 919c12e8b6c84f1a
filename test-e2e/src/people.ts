import { createHash } from 'node:crypto'
import type { Endpoint, ResultOf } from '@im/contracts'
import { accounts } from '@im/contracts/user'
import { createTestClient, type Envelope, type TestClient, type WireParams } from '@im/service-kit/testing'
import { Phone } from './phone.ts'

/** Where the stack under test listens. */
export interface StackAddresses {
  gatewayUrl: string
  xmppPort: number
  xmppDomain: string
}

const md5 = (text: string) => createHash('md5').update(text).digest('hex')
let registered = 0

/** A user with an account: knows his password and token, and calls the API as the apps do. */
export class Person {
  readonly name: string
  readonly userId: number
  readonly telephone: string
  readonly password: string
  token: string
  readonly #stack: StackAddresses
  readonly #api: TestClient

  constructor(stack: StackAddresses, api: TestClient, name: string, telephone: string, userId: number, token: string) {
    this.#stack = stack
    this.#api = api
    this.name = name
    this.telephone = telephone
    this.password = md5(`${name}'s secret`)
    this.userId = userId
    this.token = token
  }

  /** The `data` of a success; a failure throws the error of its name. */
  call<E extends Endpoint>(endpoint: E, params?: WireParams<E>): Promise<ResultOf<E>> {
    return this.#api.call(endpoint, params, { token: this.token })
  }

  /** The whole answer. */
  ask<E extends Endpoint>(endpoint: E, params?: WireParams<E>): Promise<Envelope> {
    return this.#api.envelope(endpoint, params, { token: this.token })
  }

  phone(
    resource = 'android',
    options: { password?: string; available?: boolean; service?: string } = {},
  ): Promise<Phone> {
    return Phone.connect({
      port: this.#stack.xmppPort,
      domain: this.#stack.xmppDomain,
      userId: this.userId,
      password: options.password ?? this.token,
      resource,
      available: options.available ?? true,
      ...(options.service ? { service: options.service } : {}),
    })
  }
}

const freeTelephone = () =>
  `138${String(Date.now() % 100_000).padStart(5, '0')}${String(registered++ % 1000).padStart(3, '0')}`

/** Registers people on a stack. */
export class People {
  readonly #stack: StackAddresses
  readonly #api: TestClient

  constructor(stack: StackAddresses) {
    this.#stack = stack
    this.#api = createTestClient({ baseUrl: stack.gatewayUrl, timeout: 15_000 })
  }

  get api(): TestClient {
    return this.#api
  }

  /** `more`: further parameters, such as `userType: 2` for a public account. */
  async register(name: string, telephone = freeTelephone(), more: { userType?: number } = {}): Promise<Person> {
    const password = md5(`${name}'s secret`)
    const result = await this.#api.call(accounts.register, {
      telephone,
      password,
      nickname: name,
      deviceKey: 'android',
      serial: `${name}-1`,
      ...more,
    })
    return new Person(this.#stack, this.#api, name, telephone, result.userId, result.access_token)
  }

  close(): Promise<void> {
    return this.#api.close()
  }
}
