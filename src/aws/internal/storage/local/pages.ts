/** The pages of a list, as S3 makes them. */
import type { Listing } from "../backend.ts"
import type { ListPage, ObjectInfo } from "../model.ts"
import type { Kept } from "./store.ts"

/** An object, or a beginning that the keys of several have in common. */
interface Item {
  readonly name: string
  /** The name in UTF-8, which is how names are ordered: UTF-16 has another order. */
  readonly bytes: Buffer
  readonly object: Kept | undefined
}

/** At least one. A page has at most `pageSize` items: objects and prefixes count alike. */
export const pages = (listing: Listing, all: ReadonlyArray<Kept>): ReadonlyArray<ListPage> => {
  const items = itemsOf(listing, all)
  return Array.from({ length: Math.max(1, Math.ceil(items.length / listing.pageSize)) }, (_, index) => {
    const page = items.slice(index * listing.pageSize, (index + 1) * listing.pageSize)
    return {
      objects: page.flatMap(({ object }) => object === undefined ? [] : [listed(object)]),
      prefixes: page.flatMap(({ name, object }) => object === undefined ? [name] : [])
    }
  })
}

const itemsOf = ({ delimiter, prefix, startAfter }: Listing, all: ReadonlyArray<Kept>): ReadonlyArray<Item> => {
  const items = new Map<string, Item>()
  for (const object of all) {
    const { key } = object.head
    if (!key.startsWith(prefix)) continue
    const end = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length)
    const name = end === -1 ? key : key.slice(0, end + (delimiter as string).length)
    if (!items.has(name)) items.set(name, { name, bytes: Buffer.from(name), object: end === -1 ? object : undefined })
  }
  const after = startAfter === undefined ? undefined : Buffer.from(startAfter)
  return Array.from(items.values())
    .filter(({ bytes }) => after === undefined || Buffer.compare(bytes, after) > 0)
    .sort((one, other) => Buffer.compare(one.bytes, other.bytes))
}

const listed = ({ etag, head, lastModified, size }: Kept): ObjectInfo => ({
  key: head.key,
  size,
  etag,
  lastModified,
  storageClass: head.storageClass
})
