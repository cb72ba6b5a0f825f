// Numbers every call to a storage and lets a test act before, in the middle of, or after a chosen one: throw, to play a
// failing store, or end the process, to play a crash. Unlike `faulty-storage.ts`, which plans faults by method, it visits
// all calls one after another: a test counts up until the work gets through without reaching the planned call.
import { truncateSync, writeFileSync, statSync } from 'node:fs';

import type { BlobId, BlobMetadata, BlobStorage, ByteRange, LocalBlobFiles } from '../../repo-format/blob/storage.ts';

/**
 * - `before`: nothing has happened
 * - `during`: half of a written blob lies in a temporary file, half of a list was delivered, bytes were read but not returned
 * - `after`: the call took effect, its caller does not know
 */
export type Moment = 'before' | 'during' | 'after';
export const MOMENTS: readonly Moment[] = ['before', 'during', 'after'];

export type StorageMethod =
  'getBlob' | 'getMetadata' | 'putBlob' | 'listBlobs' | 'deleteBlob' | 'commitStaged' | 'freeBytes';
export const WRITING_METHODS: readonly StorageMethod[] = ['putBlob', 'deleteBlob', 'commitStaged'];

export interface StorageCall {
  readonly method: StorageMethod;
  /** Blob id, or prefix of a list. */
  readonly id: string;
}

export interface StepPlan {
  /** Calls of these methods count. */
  readonly methods: readonly StorageMethod[];
  /** The call acted on, from 1. */
  readonly step: number;
  readonly moment: Moment;
  /** Throws or never returns. */
  readonly act: (call: StorageCall) => void;
}

export class StepStorage implements BlobStorage {
  readonly displayName: string;
  readonly localFiles?: LocalBlobFiles;
  readonly #storage: BlobStorage;
  readonly #plan: StepPlan;
  #calls = 0;
  #reached: StorageCall | undefined;

  constructor(storage: BlobStorage, plan: StepPlan) {
    this.#storage = storage;
    this.#plan = plan;
    this.displayName = storage.displayName;
    if (storage.localFiles !== undefined) this.localFiles = this.#wrapLocalFiles(storage.localFiles);
  }

  /** The call that was acted on. */
  get reached(): StorageCall | undefined {
    return this.#reached;
  }

  getBlob(id: BlobId, range: ByteRange | undefined, signal: AbortSignal): Promise<Uint8Array> {
    return this.#around({ method: 'getBlob', id }, () => this.#storage.getBlob(id, range, signal));
  }

  getMetadata(id: BlobId, signal: AbortSignal): Promise<BlobMetadata> {
    return this.#around({ method: 'getMetadata', id }, () => this.#storage.getMetadata(id, signal));
  }

  putBlob(id: BlobId, bytes: Uint8Array, signal: AbortSignal): Promise<BlobMetadata> {
    const half = (): void => {
      const staging = this.#storage.localFiles?.stagingPathOf(id);
      if (staging !== undefined) writeFileSync(staging, bytes.subarray(0, bytes.length >> 1));
    };
    return this.#around({ method: 'putBlob', id }, () => this.#storage.putBlob(id, bytes, signal), half);
  }

  async *listBlobs(prefix: string, signal: AbortSignal): AsyncIterable<BlobMetadata> {
    const call: StorageCall = { method: 'listBlobs', id: prefix };
    const due = this.#isDue(call);
    if (due && this.#plan.moment === 'before') this.#act(call);
    let count = 0;
    for await (const blob of this.#storage.listBlobs(prefix, signal)) {
      yield blob;
      if (due && this.#plan.moment === 'during' && ++count === 2) this.#act(call);
    }
    if (due) this.#act(call);
  }

  deleteBlob(id: BlobId, signal: AbortSignal): Promise<void> {
    return this.#around({ method: 'deleteBlob', id }, () => this.#storage.deleteBlob(id, signal));
  }

  freeBytes(signal: AbortSignal): Promise<number | undefined> {
    return this.#around({ method: 'freeBytes', id: '' }, () => this.#storage.freeBytes(signal));
  }

  close(): Promise<void> {
    return this.#storage.close();
  }

  #wrapLocalFiles(files: LocalBlobFiles): LocalBlobFiles {
    return {
      layout: files.layout,
      pathOf: (id) => files.pathOf(id),
      stagingPathOf: (id) => files.stagingPathOf(id),
      commitStaged: (path, id, signal) =>
        this.#around(
          { method: 'commitStaged', id },
          () => files.commitStaged(path, id, signal),
          () => truncateSync(path, statSync(path).size >> 1),
        ),
    };
  }

  async #around<T>(call: StorageCall, work: () => Promise<T>, half?: () => void): Promise<T> {
    const due = this.#isDue(call);
    const { moment } = this.#plan;
    if (due && moment === 'before') this.#act(call);
    if (due && moment === 'during' && half !== undefined) {
      half();
      this.#act(call);
    }
    const result = await work();
    if (due) this.#act(call);
    return result;
  }

  #isDue(call: StorageCall): boolean {
    if (!this.#plan.methods.includes(call.method)) return false;
    this.#calls++;
    return this.#calls === this.#plan.step;
  }

  #act(call: StorageCall): void {
    this.#reached = call;
    this.#plan.act(call);
  }
}
