// How many full packs may wait on this machine for a slow store: a lane that has filled one more waits until one is gone, so
// that neither the disk nor memory fills when reading is faster than the network.

// As many as four requests at a time need to be kept busy, and some more; 16 of 20 MiB are 320 MiB of disk.
const MAX_PACKS = 16;
/** Lanes look so often whether they are to stop. */
const LOOK_MS = 100;

export class StagingRoom {
  /** Int32: [0] is the number of packs. */
  readonly shared: SharedArrayBuffer;
  readonly #packs: Int32Array;

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(4)) {
    this.shared = shared;
    this.#packs = new Int32Array(shared);
  }

  /** By a lane that has handed over a pack. Returns when there is room for another one, or when the lane is to stop. */
  enter(isStopped: () => boolean): void {
    Atomics.add(this.#packs, 0, 1);
    for (;;) {
      const packs = Atomics.load(this.#packs, 0);
      if (packs < MAX_PACKS || isStopped()) return;
      Atomics.wait(this.#packs, 0, packs, LOOK_MS);
    }
  }

  /** By the main thread, when a pack is stored or lost. */
  leave(): void {
    Atomics.sub(this.#packs, 0, 1);
    Atomics.notify(this.#packs, 0);
  }
}
