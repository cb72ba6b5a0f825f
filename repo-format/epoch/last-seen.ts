// Remembers, on this machine, how far a repository had got, and tells when it is older than that: a bucket that was restored
// from a copy, or rolled back by whoever owns it, to make snapshots vanish. Judged by names and bytes alone, never by times.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { toHex } from '../../base/hex.ts';
import type { RandomSource } from '../../base/random.ts';
import type { EpochSnapshot } from './snapshot.ts';
import { NO_WATERMARK } from '../index/index-set.ts';
import { uncompactedPrefix } from './names.ts';

export interface LastSeen {
  /** Of `kopia.repository`, the newest last. */
  readonly formats: readonly string[];
  readonly writeEpoch: number;
  readonly watermarkSeconds: number;
  /** Index blobs of `writeEpoch`, the latest of this machine among them. */
  readonly indexBlobs: readonly string[];
}

/** What made somebody think that the repository is older than it was. */
export type Rollback = 'format' | 'epoch' | 'watermark' | 'index-blobs';

const MAX_FORMATS = 8;
const MAX_INDEX_BLOBS = 256;
const MAX_FILE_BYTES = 1 << 20;

/** A repository as it is now. */
export interface Seen {
  /** `kopia.repository` as stored. */
  readonly formatBlobBytes: Uint8Array;
  /** Undefined without epochs. */
  readonly epochs: Pick<EpochSnapshot, 'writeEpoch' | 'watermarkSeconds'> | undefined;
  /** All that count, those of this run last. */
  readonly indexBlobIds: readonly string[];
}

/** What to remember; `previous` has the formats that were seen before. */
export function lastSeenOf({ formatBlobBytes, epochs, indexBlobIds }: Seen, previous: LastSeen | undefined): LastSeen {
  const format = formatHash(formatBlobBytes);
  const formats = [...(previous?.formats ?? []).filter((known) => known !== format), format];
  const writeEpoch = epochs?.writeEpoch ?? 0;
  const ofEpoch = indexBlobIds.filter((id) => id.startsWith(uncompactedPrefix(writeEpoch)));
  return {
    formats: formats.slice(-MAX_FORMATS),
    writeEpoch,
    watermarkSeconds: epochs?.watermarkSeconds ?? NO_WATERMARK,
    indexBlobs: ofEpoch.slice(-MAX_INDEX_BLOBS),
  };
}

/**
 * Undefined when everything is as new as it was. A format that was seen before another one has come back; epochs and
 * watermarks only grow; index blobs of the epoch that is written to stay.
 */
export function findRollback(
  previous: LastSeen,
  { formatBlobBytes, epochs, indexBlobIds }: Seen,
): Rollback | undefined {
  const format = formatHash(formatBlobBytes);
  if (previous.formats.includes(format) && previous.formats.at(-1) !== format) return 'format';
  if (epochs === undefined) return undefined;
  if (epochs.writeEpoch < previous.writeEpoch) return 'epoch';
  if (epochs.watermarkSeconds < previous.watermarkSeconds) return 'watermark';
  // From the next epoch on, a writer who was too slow takes its blobs back.
  if (epochs.writeEpoch > previous.writeEpoch) return undefined;
  const there = new Set(indexBlobIds);
  return previous.indexBlobs.every((id) => there.has(id)) ? undefined : 'index-blobs';
}

function formatHash(formatBlobBytes: Uint8Array): string {
  return createHash('sha256').update(formatBlobBytes).digest('hex');
}

/** Undefined when there is none, or it is not what was written with this key. */
export function readLastSeen(path: string, key: Uint8Array): LastSeen | undefined {
  try {
    const status = statSync(path);
    if (!status.isFile() || status.size > MAX_FILE_BYTES) return undefined;
    const [tag = '', text = ''] = readFileSync(path, 'utf8').split('\n', 2);
    const expected = Buffer.from(tagOf(text, key));
    const actual = Buffer.from(tag);
    if (actual.length !== expected.length || !timingSafeEqual(actual, expected)) return undefined;
    return JSON.parse(text) as LastSeen; // we wrote it: the tag says so
  } catch {
    return undefined;
  }
}

/** As a whole or not at all; several processes may do so. */
export function writeLastSeen(path: string, key: Uint8Array, state: LastSeen, random: RandomSource): void {
  const text = JSON.stringify(state);
  const beside = `${path}.tmp.${toHex(random.bytes(8))}`;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    writeFileSync(beside, `${tagOf(text, key)}\n${text}`, { mode: 0o600, flag: 'wx' });
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}

function tagOf(text: string, key: Uint8Array): string {
  return createHmac('sha256', key).update(`last seen\n${text}`).digest('hex');
}
