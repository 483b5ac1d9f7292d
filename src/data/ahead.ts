/**
 * Results of `work` in the order of the items. The first `ahead` items are begun at once, further ones as results are
 * taken, at most `atOnce` at a time.
 */
export function mapAhead<T, R>(
  items: readonly T[],
  { ahead, atOnce }: { readonly ahead: number; readonly atOnce: number },
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const begun: Promise<R>[] = [];
  const begin = (end: number) => {
    while (begun.length < Math.min(items.length, end)) {
      const item = items[begun.length]!;
      const before = begun[begun.length - atOnce]?.catch(() => {}) ?? Promise.resolve();
      const result = before.then(() => work(item));
      result.catch(() => {}); // whoever takes it hears of it
      begun.push(result);
    }
  };
  begin(ahead);
  return (async function* () {
    for (let i = 0; i < items.length; i++) {
      begin(i + Math.max(1, ahead));
      yield await begun[i]!;
      delete begun[i]; // its memory
    }
  })();
}
