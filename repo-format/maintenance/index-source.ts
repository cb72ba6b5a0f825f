// Where compactions get index blobs from: the ones that the repository has loaded already, else from the store, one at a
// time and forgotten after use.
import type { BlobId, BlobMetadata } from '../blob/storage.ts';
import { openBlob } from '../epoch/encrypted-blob.ts';
import { MAX_INDEX_BLOB_BYTES } from '../epoch/load-index.ts';
import { indexCorrupt, type ParsedIndex } from '../index/parsed-index.ts';
import { parseIndex } from '../index/parse-index.ts';
import type { MaintenanceRun } from './task.ts';

export type IndexSource = (blob: BlobMetadata, signal: AbortSignal) => Promise<ParsedIndex>;

/** Equal names are equal bytes, so what was loaded earlier serves as well. */
export function indexSource(run: MaintenanceRun): IndexSource {
  const { contents, storage } = run.repository;
  const loaded = new Map<BlobId, ParsedIndex>(contents.indexSet.indexes.map(({ blobId, parsed }) => [blobId, parsed]));
  return async (blob, signal) => {
    const known = loaded.get(blob.id);
    if (known !== undefined) return known;
    if (blob.length > MAX_INDEX_BLOB_BYTES) throw indexCorrupt('too large for an index', { blobId: blob.id });
    const sealed = await storage.getBlob(blob.id, undefined, signal);
    return parseIndex(openBlob(run.cipher, blob.id, sealed));
  };
}

/** Bytes of the indexes that are loaded. */
export function loadedIndexBytes(run: MaintenanceRun): number {
  return run.repository.contents.indexSet.indexes.reduce((sum, { parsed }) => sum + parsed.bytes.length, 0);
}
