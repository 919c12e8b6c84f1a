/** A thread that uploads an avatar for each of some people at once. */
import { workerData } from 'node:worker_threads'
import { type Account, send } from './send.ts'

const { url, people, photo } = workerData as { url: string; people: Account[]; photo: Uint8Array }
await Promise.all(people.map((person) => send(url, '/upload/UploadAvatarServlet', person, photo)))
