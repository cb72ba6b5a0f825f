// Index blobs of a repository without epochs (repository format §7.6): `n` blobs less those that a compaction log (`m`)
// says were merged into others.
import { hasCode, WindlassError } from '../../base/errors.ts';
import type { BlobId, BlobMetadata, BlobStorage } from '../blob/storage.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import { openBlob } from './encrypted-blob.ts';
import { LEGACY_POISON_BLOB } from './names.ts';
import { listAll } from './snapshot.ts';

export const LEGACY_INDEX_PREFIX = 'n';
export const LEGACY_COMPACTION_PREFIX = 'm';

export interface CompactionLog {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface LegacyDeps {
  readonly storage: BlobStorage;
  readonly cipher: ContentCipher;
}

export async function loadLegacyActiveBlobs(deps: LegacyDeps, signal: AbortSignal): Promise<BlobMetadata[]> {
  const [indexes, logBlobs] = await Promise.all([
    listAll(deps.storage, LEGACY_INDEX_PREFIX, signal),
    listAll(deps.storage, LEGACY_COMPACTION_PREFIX, signal),
  ]);
  const logs: CompactionLog[] = [];
  for (const { id } of logBlobs) {
    const log = await loadCompactionLog(deps, id, signal);
    if (log !== undefined) logs.push(log);
  }
  return activeLegacyBlobs(indexes, logs);
}

/** A log counts when all its outputs are listed; removals never hide outputs from other logs. */
export function activeLegacyBlobs(indexes: readonly BlobMetadata[], logs: readonly CompactionLog[]): BlobMetadata[] {
  const listed = new Set<string>(indexes.map((blob) => blob.id));
  const merged = new Set<string>([LEGACY_POISON_BLOB]);
  for (const log of logs) {
    if (!log.outputs.every((id) => listed.has(id))) continue;
    for (const id of log.inputs) merged.add(id);
  }
  return indexes.filter((blob) => !merged.has(blob.id));
}

/** Undefined when the log has vanished since it was listed. */
async function loadCompactionLog(
  deps: LegacyDeps,
  id: BlobId,
  signal: AbortSignal,
): Promise<CompactionLog | undefined> {
  let sealed: Uint8Array;
  try {
    sealed = await deps.storage.getBlob(id, undefined, signal);
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return undefined;
    throw error;
  }
  return parseCompactionLog(id, openBlob(deps.cipher, id, sealed));
}

/** `INDEX_CORRUPT` when it is not `{"inputMetadata":[{"id":…}],"outputMetadata":[…]}`. */
export function parseCompactionLog(id: BlobId, plaintext: Uint8Array): CompactionLog {
  try {
    const json: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plaintext));
    return { inputs: idsOf(member(json, 'inputMetadata')), outputs: idsOf(member(json, 'outputMetadata')) };
  } catch (error) {
    throw new WindlassError(`compaction log ${id} cannot be read`, {
      code: 'INDEX_CORRUPT',
      context: { blobId: id },
      cause: error,
    });
  }
}

function idsOf(list: unknown): string[] {
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) throw new TypeError('not a list of blobs');
  return list.map((blob: unknown) => {
    const id = member(blob, 'id');
    if (typeof id !== 'string') throw new TypeError('a blob without an id');
    return id;
  });
}

/** Go matches JSON names in any case. */
function member(json: unknown, name: string): unknown {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new TypeError('not an object');
  const found = Object.entries(json).find(([key]) => key.toLowerCase() === name.toLowerCase());
  return found?.[1] as unknown;
}
