// A storage that fails as planned. A plan that was never reached fails the test: it proved nothing.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { WindlassError } from '../../base/errors.ts';
import type { BlobId, BlobMetadata, BlobStorage } from '../../repo-format/blob/storage.ts';

export type FaultMethod = 'getBlob' | 'getMetadata' | 'putBlob' | 'listBlobs' | 'deleteBlob' | 'commitStaged';

/**
 * - `before`: the wrapped storage is not called;
 * - `during`: reads are made and their result lost, lists end after one blob, changes do not happen;
 * - `after`: the call is done, only its success is not reported.
 */
export type FaultMoment = 'before' | 'during' | 'after';

export interface Fault {
  readonly method: FaultMethod;
  /** Default `before`. */
  readonly when?: FaultMoment;
  /** Thrown at that moment; without one only `callback` runs. */
  readonly error?: unknown;
  /** Runs at that moment, before the error: move a clock, change the storage, wait for a promise. */
  readonly callback?: (name: string) => void | Promise<void>;
  /** Only calls for these blobs or prefixes; default all. */
  readonly matching?: (name: string) => boolean;
  /** Matching calls to let pass first. */
  readonly skip?: number;
  /** How many calls to hit; default 1. */
  readonly times?: number;
}

export interface FaultyStorage {
  readonly storage: BlobStorage;
  /** Faults for one call apply in the order they were planned. */
  plan(...faults: readonly Fault[]): void;
  /** Calls so far, failed ones included. */
  readonly calls: Readonly<Record<FaultMethod, number>>;
  /** Throws when a planned fault was not hit as often as planned. */
  assertAllHit(): void;
}

export function injectedError(message = 'injected fault'): WindlassError {
  return new WindlassError(message, { code: 'BLOB_IO', retry: 'transient' });
}

interface ArmedFault extends Fault {
  toSkip: number;
  left: number;
}

/** Checks at the end of the test `t` that everything planned was hit. */
export function createFaultyStorage(t: TestContext, inner: BlobStorage): FaultyStorage {
  const armed: ArmedFault[] = [];
  const calls: Record<FaultMethod, number> = {
    getBlob: 0,
    getMetadata: 0,
    putBlob: 0,
    listBlobs: 0,
    deleteBlob: 0,
    commitStaged: 0,
  };

  const take = (method: FaultMethod, name: string): ArmedFault[] => {
    calls[method]++;
    return armed.filter((fault) => {
      if (fault.method !== method || fault.left === 0 || fault.matching?.(name) === false) return false;
      if (fault.toSkip > 0) {
        fault.toSkip--;
        return false;
      }
      fault.left--;
      return true;
    });
  };
  const strike = async (faults: readonly ArmedFault[], when: FaultMoment, name: string): Promise<void> => {
    for (const fault of faults) {
      if ((fault.when ?? 'before') !== when) continue;
      await fault.callback?.(name);
      if (fault.error !== undefined) throw fault.error;
    }
  };
  async function around<Result>(
    method: FaultMethod,
    kind: 'read' | 'change',
    name: string,
    call: () => Promise<Result>,
  ): Promise<Result> {
    const faults = take(method, name);
    await strike(faults, 'before', name);
    if (kind === 'change') await strike(faults, 'during', name);
    const result = await call();
    if (kind === 'read') await strike(faults, 'during', name);
    await strike(faults, 'after', name);
    return result;
  }
  async function* list(prefix: string, signal: AbortSignal): AsyncGenerator<BlobMetadata, void, void> {
    const faults = take('listBlobs', prefix);
    await strike(faults, 'before', prefix);
    let struck = false;
    for await (const blob of inner.listBlobs(prefix, signal)) {
      yield blob;
      if (!struck) await strike(faults, 'during', prefix);
      struck = true;
    }
    if (!struck) await strike(faults, 'during', prefix);
    await strike(faults, 'after', prefix);
  }

  const { localFiles } = inner;
  const storage: BlobStorage = {
    displayName: inner.displayName,
    getBlob: (id, range, signal) => around('getBlob', 'read', id, () => inner.getBlob(id, range, signal)),
    getMetadata: (id, signal) => around('getMetadata', 'read', id, () => inner.getMetadata(id, signal)),
    putBlob: (id, bytes, signal) => around('putBlob', 'change', id, () => inner.putBlob(id, bytes, signal)),
    listBlobs: list,
    deleteBlob: (id, signal) => around('deleteBlob', 'change', id, () => inner.deleteBlob(id, signal)),
    freeBytes: (signal) => inner.freeBytes(signal),
    ...(localFiles === undefined
      ? {}
      : {
          localFiles: {
            layout: localFiles.layout,
            pathOf: (id: BlobId) => localFiles.pathOf(id),
            stagingPathOf: (id: BlobId) => localFiles.stagingPathOf(id),
            commitStaged: (path: string, id: BlobId, signal: AbortSignal) =>
              around('commitStaged', 'change', id, () => localFiles.commitStaged(path, id, signal)),
          },
        }),
    close: () => inner.close(),
  };

  const assertAllHit = (): void => {
    for (const fault of armed) {
      const where = `${fault.when ?? 'before'} ${fault.method}`;
      assert.equal(fault.left, 0, `planned fault ${where}: ${fault.left} of ${fault.times ?? 1} not reached`);
    }
  };
  t.after(assertAllHit);
  return {
    storage,
    calls,
    plan: (...faults) => armed.push(...faults.map((f) => ({ ...f, toSkip: f.skip ?? 0, left: f.times ?? 1 }))),
    assertAllHit,
  };
}
