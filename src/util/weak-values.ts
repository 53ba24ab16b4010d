/** A map that does not keep its values: what nobody else holds disappears from it, key and all. For caches of what is costly to make. */

export class WeakValues<V extends object> {
  private readonly refs = new Map<string, WeakRef<V>>();
  private readonly gone = new FinalizationRegistry<string>((key) => {
    // A value set under the same key since then stays.
    if (this.refs.get(key)?.deref() === undefined) this.refs.delete(key);
  });

  get size(): number {
    return this.refs.size;
  }

  get(key: string): V | undefined {
    return this.refs.get(key)?.deref();
  }

  set(key: string, value: V): void {
    this.refs.set(key, new WeakRef(value));
    this.gone.register(value, key);
  }
}
