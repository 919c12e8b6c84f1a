import type { Deps } from '../deps.ts'
import type { Order } from './orders-repository.ts'

/** Wakes the replica that holds the component connection. */
export const ordersTopic = 'message.orders'

/** Keeps orders about a user, to be sent in this sequence from `dueAt` (ms) on. `cause` makes asking twice harmless: an event id. */
export async function askForOrders(
  { orders, bus, now }: Pick<Deps, 'orders' | 'bus' | 'now'>,
  cause: string,
  userId: number,
  list: readonly Order['order'][],
  dueAt?: number,
): Promise<void> {
  const createdAt = now()
  await orders.ask(
    list.map((order, place) => ({
      _id: `${cause}:${order.kind}`,
      userId,
      order,
      createdAt: createdAt + place / 1000,
      dueAt: dueAt ?? createdAt,
    })),
  )
  bus.wake(ordersTopic)
}
