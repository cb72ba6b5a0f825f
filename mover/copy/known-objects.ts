// What this run has copied already: source id to target id, for as many as fit. Two generations, so that what is in use stays.

/** About 200 bytes a pair. */
const DEFAULT_CAPACITY = 200_000;

export class KnownObjects {
  readonly #capacity: number;
  #young = new Map<string, string>();
  #old = new Map<string, string>();

  constructor(capacity = DEFAULT_CAPACITY) {
    this.#capacity = capacity;
  }

  get<Id extends string>(source: Id): Id | undefined {
    const found = this.#young.get(source) ?? this.#old.get(source);
    if (found !== undefined) this.set(source, found as Id);
    return found as Id | undefined;
  }

  set<Id extends string>(source: Id, target: Id): void {
    this.#young.set(source, target);
    if (this.#young.size * 2 < this.#capacity) return;
    this.#old = this.#young;
    this.#young = new Map();
  }
}
