/** `new Map(map)` makes an array and a result of an iterator for each entry, which is as much garbage again as the copy. */
export const copyOf = <K, V>(map: ReadonlyMap<K, V>): Map<K, V> => {
  const copy = new Map<K, V>()
  map.forEach((value, key) => copy.set(key, value))
  return copy
}
