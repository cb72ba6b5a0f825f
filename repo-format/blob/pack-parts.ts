// What a restore or a verification wants of packs, as sparse files at the same offsets: for lanes they are the packs. Fetched
// with few requests, several at a time, within a budget of disk space. A pack is held while somebody works on it, and goes
// when its last use is over, or when the budget needs its room and nobody holds it.
//
// What does not fit waits until something goes. A lane that stands still is never made to wait for that: its pack comes at
// once, beyond the budget if need be, so that work always goes on.
import { constants } from 'node:fs';
import { mkdir, open, rm, unlink } from 'node:fs/promises';
import { hasCode } from '../../base/errors.ts';
import { bytesOf, joinSpans, missingSpans, planRequests, type Span } from './byte-ranges.ts';
import type { FetchGate } from './fetch-gate.ts';
import { blobPath } from './filesystem-layout.ts';
import { translateLocalError } from './local-errors.ts';
import { flatLayout } from './pack-folder.ts';
import type { BlobId, BlobStorage, LocalLayout } from './storage.ts';

export interface PackPartsOptions {
  /** Of this run alone. */
  readonly path: string;
  /** Bytes on disk. */
  readonly budgetBytes: number;
}

export interface PackPartsDeps {
  readonly storage: BlobStorage;
  readonly gate: FetchGate;
}

interface Bringing {
  /** False for what is read ahead: nobody's room is taken for it. */
  readonly mayEvict: boolean;
  /** Called when the first request is about to be made. */
  readonly onStart?: () => void;
}

/** Of one pack, all that a run will want. */
export interface ExpectedPack {
  readonly packId: BlobId;
  readonly wanted: readonly Span[];
  /** How many `used` there will be. */
  readonly uses: number;
}

interface Part {
  readonly packId: BlobId;
  present: readonly Span[];
  bytes: number;
  /** Who works on it. */
  holders: number;
  /** Of those expected. */
  usesLeft: number | undefined;
  isUrgent: boolean;
  /** One fetch at a time. */
  busy: Promise<void> | undefined;
  /** The pack is shorter than the index says: all there is of it is here. */
  isWhole: boolean;
}

interface Waiter {
  readonly part: Part;
  readonly bytes: number;
  readonly mayEvict: boolean;
  readonly enter: () => void;
}

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

export class PackParts {
  readonly layout: LocalLayout;
  readonly #options: PackPartsOptions;
  readonly #deps: PackPartsDeps;
  /** Least recently used first. */
  readonly #parts = new Map<BlobId, Part>();
  #expected = new Map<BlobId, ExpectedPack>();
  #lengthOf: (packId: BlobId) => number | undefined = () => undefined;
  #waiting: Waiter[] = [];
  readonly #closing = new AbortController();
  readonly #signal: AbortSignal;
  readonly #fetches = new Set<Promise<void>>();
  #usedBytes = 0;
  #mostBytes = 0;

  /** After `signal` nothing is fetched any more, and whoever waits is told. */
  constructor(options: PackPartsOptions, deps: PackPartsDeps, signal: AbortSignal) {
    this.#options = options;
    this.#deps = deps;
    this.#signal = AbortSignal.any([signal, this.#closing.signal]);
    this.layout = flatLayout(options.path);
  }

  /** Bytes on disk, those on their way included: the most there were. */
  get mostBytes(): number {
    return this.#mostBytes;
  }

  /**
   * Says what will be wanted of packs, in this order: it is fetched with the first part that is, and ahead of that as far as the
   * budget goes.
   */
  expect(packs: readonly ExpectedPack[]): void {
    this.#expected = new Map(packs.map((pack) => [pack.packId, pack]));
    void this.#prefetch(packs);
  }

  /** From now on all of a pack is fetched with the first part that is wanted, where its length is known. */
  takeWhole(lengthOf: (packId: BlobId) => number | undefined): void {
    this.#lengthOf = lengthOf;
  }

  /** Resolves when these bytes of the pack are there, or when there is no such pack; it then stays until `release`. */
  async acquire(packId: BlobId, wanted: readonly Span[]): Promise<void> {
    const part = this.#part(packId);
    part.holders++;
    this.#parts.delete(packId);
    this.#parts.set(packId, part);
    await this.#bring(part, joinSpans(wanted, 0), { mayEvict: true });
  }

  /** A lane stands still for this pack. */
  urge(packId: BlobId): void {
    const part = this.#parts.get(packId);
    if (part === undefined) return;
    part.isUrgent = true;
    this.#admit();
  }

  release(packId: BlobId, uses: number): void {
    const part = this.#parts.get(packId);
    if (part === undefined) return;
    part.holders--;
    if (part.usesLeft !== undefined) part.usesLeft -= uses;
    if (part.holders === 0 && part.usesLeft !== undefined && part.usesLeft <= 0) this.#remove(part);
    this.#admit();
  }

  /** Ends what is under way and removes everything. */
  async close(): Promise<void> {
    this.#closing.abort(new DOMException('nobody wants packs any more', 'AbortError'));
    await Promise.allSettled(this.#fetches);
    await rm(this.#options.path, { recursive: true, force: true }).catch(() => undefined); // goes with the run's folder
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #part(packId: BlobId): Part {
    let part = this.#parts.get(packId);
    if (part === undefined) {
      const usesLeft = this.#expected.get(packId)?.uses;
      part = { packId, present: [], bytes: 0, holders: 0, usesLeft, isUrgent: false, busy: undefined, isWhole: false };
      this.#parts.set(packId, part);
    }
    return part;
  }

  async #prefetch(packs: readonly ExpectedPack[]): Promise<void> {
    for (const pack of packs) {
      if (this.#signal.aborted) return;
      // Used up already.
      if (this.#expected.get(pack.packId) !== pack) continue;
      const part = this.#part(pack.packId);
      if (part.busy !== undefined || part.present.length > 0) continue;
      // The next one when this one has begun: whoever needs a pack now is never behind a long queue.
      await new Promise<void>((resolve) => {
        // Whoever acquires it is told what is wrong.
        void this.#bring(part, [], { mayEvict: false, onStart: resolve }).then(resolve, () => resolve());
      });
    }
  }

  async #bring(part: Part, wanted: readonly Span[], how: Bringing): Promise<void> {
    this.#signal.throwIfAborted();
    while (part.busy !== undefined) await part.busy.catch(() => undefined);
    const planned = planRequests([...wanted, ...this.#alsoOf(part.packId)]);
    const missing = part.isWhole ? [] : missingSpans(planned, part.present);
    const isThere = missingSpans(wanted, part.present).length === 0;
    if (missing.length === 0 || (isThere && wanted.length > 0)) return;
    const fetching = this.#fetch(part, missing, how);
    part.busy = fetching;
    this.#fetches.add(fetching);
    try {
      await fetching;
    } finally {
      part.busy = undefined;
      part.isUrgent = false;
      this.#fetches.delete(fetching);
    }
  }

  #alsoOf(packId: BlobId): readonly Span[] {
    const length = this.#lengthOf(packId);
    return length === undefined ? (this.#expected.get(packId)?.wanted ?? []) : [{ start: 0, end: length }];
  }

  async #fetch(part: Part, missing: readonly Span[], { mayEvict, onStart }: Bringing): Promise<void> {
    const bytes = bytesOf(missing);
    await this.#room({ part, bytes, mayEvict });
    let kept = 0;
    try {
      const gets = missing.map(async (span) => {
        kept += await this.#getSpan(part, span, onStart);
      });
      const failed = (await Promise.allSettled(gets)).find((outcome) => outcome.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    } catch (error) {
      // A pack that is not there is a file that is not there: lanes say so of each content.
      if (!hasCode(error, 'BLOB_NOT_FOUND')) throw error;
    } finally {
      this.#book(kept - bytes);
      part.bytes += kept;
      this.#admit();
    }
  }

  async #getSpan(part: Part, span: Span, onStart: (() => void) | undefined): Promise<number> {
    const { storage, gate } = this.#deps;
    const signal = this.#signal;
    const { start, end } = span;
    return gate.run(end - start, { isUrgent: part.isUrgent, signal }, async () => {
      onStart?.();
      try {
        const range = { offset: start, length: end - start };
        await this.#write(part, start, await storage.getBlob(part.packId, range, signal));
        part.present = joinSpans([...part.present, span], 0);
        return end - start;
      } catch (error) {
        if (!hasCode(error, 'BLOB_INVALID_RANGE')) throw error;
      }
      // Shorter than the index says: what there is of it is read, and what is missing is found missing by the lanes.
      const bytes = await storage.getBlob(part.packId, undefined, signal);
      await this.#write(part, 0, bytes);
      part.isWhole = true;
      return bytes.length;
    });
  }

  async #write(part: Part, offset: number, bytes: Uint8Array): Promise<void> {
    const path = blobPath(this.layout, part.packId);
    try {
      await mkdir(this.#options.path, { recursive: true, mode: DIRECTORY_MODE });
      const writer = await open(path, constants.O_RDWR | constants.O_CREAT, FILE_MODE);
      try {
        for (let done = 0; done < bytes.length;) {
          done += (await writer.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
        }
      } finally {
        await writer.close();
      }
    } catch (error) {
      throw translateLocalError(error, 'keep a part of', part.packId, path);
    }
  }

  /** Waits for room on the disk, and takes it. */
  async #room(want: Omit<Waiter, 'enter'>): Promise<void> {
    const signal = this.#signal;
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        ...want,
        enter: () => {
          signal.removeEventListener('abort', onAbort);
          this.#book(want.bytes);
          resolve();
        },
      };
      const onAbort = (): void => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiter);
      this.#admit();
    });
  }

  /** In order, but whoever is urgent goes first, and whoever only reads ahead holds up no other. */
  #admit(): void {
    for (const waiter of this.#waiting.filter(({ part }) => part.isUrgent)) this.#enter(waiter);
    for (const waiter of this.#waiting.filter(({ mayEvict }) => mayEvict)) {
      this.#evictFor(waiter);
      if (!this.#fits(waiter.bytes)) return;
      this.#enter(waiter);
    }
    for (const waiter of this.#waiting) {
      if (!this.#fits(waiter.bytes)) return;
      this.#enter(waiter);
    }
  }

  #enter(waiter: Waiter): void {
    this.#waiting = this.#waiting.filter((other) => other !== waiter);
    waiter.enter();
  }

  #fits(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#options.budgetBytes;
  }

  #evictFor({ bytes, part }: Waiter): void {
    for (const other of this.#parts.values()) {
      if (this.#fits(bytes)) return;
      if (other.holders > 0 || other.busy !== undefined || other === part) continue;
      this.#remove(other);
    }
  }

  #remove(part: Part): void {
    if (part.bytes > 0) void unlink(blobPath(this.layout, part.packId)).catch(() => undefined); // gone already
    this.#book(-part.bytes);
    part.bytes = 0;
    part.present = [];
    part.isWhole = false;
    this.#parts.delete(part.packId);
    // What was expected of it is over, or it comes again with what is wanted then.
    if (part.usesLeft !== undefined && part.usesLeft <= 0) this.#expected.delete(part.packId);
  }

  #book(bytes: number): void {
    this.#usedBytes += bytes;
    this.#mostBytes = Math.max(this.#mostBytes, this.#usedBytes);
  }
}
