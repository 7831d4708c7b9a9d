/** A queue whose `shift` costs the same however many wait: an array moves all that are behind the first. */
export class Fifo<T extends object> {
  private items: (T | undefined)[] = [];
  private head = 0;

  get first(): T | undefined {
    return this.items[this.head];
  }

  push(item: T): void {
    this.items.push(item);
  }

  shift(): T | undefined {
    const { first } = this;
    if (first === undefined) return undefined;
    this.items[this.head] = undefined;
    this.head += 1;
    // At least half of the places are free: no item moves more than once for each that leaves.
    if (this.head * 2 >= this.items.length) {
      this.items.splice(0, this.head);
      this.head = 0;
    }
    return first;
  }

  /** Takes all out. */
  drain(): T[] {
    const all = this.items.slice(this.head) as T[];
    this.items = [];
    this.head = 0;
    return all;
  }
}
