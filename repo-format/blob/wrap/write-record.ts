// Remembers what was written, so that the store can be asked whether it has it: what it confirmed is only its word.
import { hasCode } from '../../../base/errors.ts';
import type { BlobId, BlobStorage, LocalBlobFiles } from '../storage.ts';
import { retentionMembers } from './retention-members.ts';

const REQUESTS = 16;

export class WriteRecord {
  /** Everything passes through it. Closing closes the wrapped storage. */
  readonly storage: BlobStorage;
  readonly #inner: BlobStorage;
  /** Lengths in bytes. */
  readonly #written = new Map<BlobId, number>();

  constructor(inner: BlobStorage) {
    this.#inner = inner;
    this.storage = this.#wrap(inner);
  }

  /** Those written through here, and not deleted since, that the store does not have, or not all of. */
  async lost(signal: AbortSignal): Promise<BlobId[]> {
    const lost: BlobId[] = [];
    const rest = [...this.#written].values();
    const ask = async (): Promise<void> => {
      for (const [id, length] of rest) if (!(await this.#isThere(id, length, signal))) lost.push(id);
    };
    await Promise.all(Array.from({ length: REQUESTS }, ask));
    return lost.sort();
  }

  async #isThere(id: BlobId, length: number, signal: AbortSignal): Promise<boolean> {
    try {
      return (await this.#inner.getMetadata(id, signal)).length === length;
    } catch (error) {
      if (hasCode(error, 'BLOB_NOT_FOUND')) return false;
      throw error;
    }
  }

  #wrap(inner: BlobStorage): BlobStorage {
    const { displayName, localFiles } = inner;
    return {
      displayName,
      getBlob: (id, range, signal) => inner.getBlob(id, range, signal),
      getMetadata: (id, signal) => inner.getMetadata(id, signal),
      putBlob: async (id, bytes, signal) => {
        const { length } = bytes;
        const stored = await inner.putBlob(id, bytes, signal);
        this.#written.set(id, length);
        return stored;
      },
      listBlobs: (prefix, signal) => inner.listBlobs(prefix, signal),
      deleteBlob: async (id, signal) => {
        this.#written.delete(id);
        await inner.deleteBlob(id, signal);
      },
      freeBytes: (signal) => inner.freeBytes(signal),
      ...retentionMembers(inner),
      ...(localFiles === undefined ? {} : { localFiles: this.#wrapFiles(localFiles) }),
      close: () => inner.close(),
    };
  }

  #wrapFiles(files: LocalBlobFiles): LocalBlobFiles {
    return {
      layout: files.layout,
      pathOf: (id) => files.pathOf(id),
      stagingPathOf: (id) => files.stagingPathOf(id),
      commitStaged: async (stagingPath, id, ...rest) => {
        const stored = await files.commitStaged(stagingPath, id, ...rest);
        this.#written.set(id, stored.length);
        return stored;
      },
    };
  }
}
