// From staged packs to durable ones: full packs are stored in the background, unfinished ones are joined first. The first
// failure stays: contents of a pack that was lost may be referred to already, so the session cannot be completed, and every
// later attempt says so.
import { WindlassError } from '../../base/errors.ts';
import type { FetchGate } from '../blob/fetch-gate.ts';
import type { BlobMetadata } from '../blob/storage.ts';
import type { StagedPack } from './growing-pack.ts';
import { discardStaged, finishPack, joinPacks, type PackFinisherDeps } from './pack-finisher.ts';

export interface PackStoreDeps extends PackFinisherDeps {
  readonly maxPackSizeBytes: number;
  /** Bounds what is put at a time where packs are held in memory for it. */
  readonly gate?: FetchGate | undefined;
  /** The pack is durable: its rows may go into an index now. */
  readonly onStored: (pack: StagedPack, metadata: BlobMetadata) => void;
}

const MAX_IN_FLIGHT = 4;

export class PackStore {
  readonly #deps: PackStoreDeps;
  readonly #inFlight = new Set<Promise<void>>();
  #tails: StagedPack[] = [];
  #failure: { error: unknown; reported: boolean } | undefined;
  #closed = false;

  constructor(deps: PackStoreDeps) {
    this.#deps = deps;
  }

  /** Packs on their way to storage. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /**
   * Makes a pack durable in the background; a failure surfaces at the next `throwIfFailed` or `storeAll`. Resolves when it is
   * stored or lost, never rejects.
   */
  accept(pack: StagedPack, signal: AbortSignal): Promise<void> {
    const storing = this.#store(pack, signal).catch((error: unknown) => this.fail(error));
    const tracked = storing.finally(() => this.#inFlight.delete(tracked));
    this.#inFlight.add(tracked);
    return tracked;
  }

  /** Keeps a pack for later: an unfinished one to be joined, or a full one of a writer that cannot wait. */
  acceptTail(pack: StagedPack): void {
    this.#tails.push(pack);
  }

  /** From now on the session cannot be completed. */
  fail(error: unknown): void {
    this.#failure ??= { error, reported: false };
  }

  /** The first time with the error itself, later with `SESSION_FAILED` and the error as cause. */
  throwIfFailed(): void {
    if (this.#failure === undefined) return;
    const { error, reported } = this.#failure;
    if (!reported) {
      this.#failure.reported = true;
      throw error;
    }
    throw new WindlassError(
      'an earlier write to the repository failed; what was written since the last flush is lost',
      {
        code: 'SESSION_FAILED',
        cause: error,
      },
    );
  }

  /** Sends full packs on their way. Waits while many are, so that a caller who awaits this bounds what is staged. */
  async storeFull(signal: AbortSignal): Promise<void> {
    if (this.#tails.length > 0) {
      const { maxPackSizeBytes } = this.#deps;
      const full = this.#tails.filter((pack) => pack.length >= maxPackSizeBytes);
      this.#tails = this.#tails.filter((pack) => pack.length < maxPackSizeBytes);
      for (const pack of full) void this.accept(pack, signal);
    }
    while (this.#inFlight.size > MAX_IN_FLIGHT) await Promise.race(this.#inFlight);
    this.throwIfFailed();
  }

  /** Joins what is unfinished and resolves when every pack accepted so far is durable. */
  async storeAll(signal: AbortSignal): Promise<void> {
    try {
      const joined = await joinPacks(this.#tails.splice(0), this.#deps.maxPackSizeBytes, this.#deps);
      for (const pack of joined) void this.accept(pack, signal);
    } catch (error) {
      this.fail(error);
    }
    await this.#settle();
    this.throwIfFailed();
  }

  /** Waits for what is under way and removes the rest. Packs handed over later are removed at once. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#settle();
    for (const pack of this.#tails.splice(0)) await discardStaged(pack);
  }

  async #settle(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight);
  }

  async #store(pack: StagedPack, signal: AbortSignal): Promise<void> {
    if (this.#closed) {
      await discardStaged(pack);
      return;
    }
    const { gate } = this.#deps;
    let isTaken = false;
    const finish = (): Promise<BlobMetadata> => {
      isTaken = true;
      return finishPack(pack, this.#deps, signal);
    };
    try {
      const stored = gate === undefined ? finish() : gate.run(pack.length, { isUrgent: false, signal }, finish);
      this.#deps.onStored(pack, await stored);
    } catch (error) {
      // A stop may come before its turn.
      if (!isTaken) await discardStaged(pack);
      throw error;
    }
  }
}
