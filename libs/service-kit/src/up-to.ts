const one = () => 1

/**
 * Options of an LRUCache that holds at most so many entries, and takes memory for those it holds. Its option `max` takes the
 * memory of all of them at once: the caches of all services together half a second and 30 MB, mostly for nothing.
 */
export const upTo = (entries: number) => ({ maxSize: entries, sizeCalculation: one })
