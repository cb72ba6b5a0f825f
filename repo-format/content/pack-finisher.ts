// Turns staged packs into pack blobs: appends padding, encrypted local index and postamble, makes the file durable under
// its name. Also joins the unfinished packs that several lanes leave behind, so that one flush ends in at most one
// short pack of each kind, as a single writer would leave.
import { close, ftruncate, read, unlink, write } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { RandomSource } from '../../base/random.ts';
import type { BlobMetadata, BlobStorage } from '../blob/storage.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import type { KeyedHash } from '../hash/keyed-hash.ts';
import { IndexBuilder, rowSize } from '../index/index-builder.ts';
import { type StagedPack, translateStagingError } from './growing-pack.ts';
import { encodePostamble, PACK_PREAMBLE_BYTES, paddingBytes } from './pack-trailer.ts';

const readAt = promisify(read);
const writeAt = promisify(write);
const closeFile = promisify(close);
const removeFile = promisify(unlink);
const truncateFile = promisify(ftruncate);

/** Bytes copied at a time when packs are joined. */
const COPY_BYTES = 1 << 20;

export interface PackFinisherDeps {
  readonly storage: BlobStorage;
  readonly cipher: ContentCipher;
  readonly hash: KeyedHash;
  readonly random: RandomSource;
  readonly indexVersion: 1 | 2;
  readonly formatVersion: number;
  readonly formatReplicaBytes: number;
  readonly keySize: number;
}

/**
 * Appends the trailer and stores the pack. After it resolves the blob is durable and its bytes are final; the staging
 * file is gone and its descriptor closed. On failure the staging file is removed.
 */
export async function finishPack(pack: StagedPack, deps: PackFinisherDeps, signal: AbortSignal): Promise<BlobMetadata> {
  let open = true;
  try {
    const trailer = encodeTrailer(pack, deps);
    await writeFully(pack, trailer, pack.length);
    // A content that failed halfway may have left bytes behind the end; the postamble must come last.
    await truncateFile(pack.fd, pack.length + trailer.length);
    const local = deps.storage.localFiles;
    open = false;
    await closeFile(pack.fd);
    if (local !== undefined) return await local.commitStaged(pack.stagingPath, pack.packId, signal);
    const bytes = await readFile(pack.stagingPath);
    const metadata = await deps.storage.putBlob(pack.packId, bytes, signal);
    await removeFile(pack.stagingPath);
    return metadata;
  } catch (error) {
    if (open) await closeFile(pack.fd).catch(() => undefined);
    // The error at hand is what matters; a staging file left behind is never listed as a blob.
    await removeFile(pack.stagingPath).catch(() => undefined);
    throw error;
  }
}

function encodeTrailer(pack: StagedPack, deps: PackFinisherDeps): Uint8Array {
  const builder = new IndexBuilder(deps.keySize);
  builder.addRows(pack.rows, builder.addPack(pack.packId), deps.formatVersion);
  const [index] = builder.build({ version: deps.indexVersion, tail: deps.random.bytes(32) });
  if (index === undefined) throw new RangeError('a pack without contents cannot be finished');
  const iv = new Uint8Array(deps.hash.sizeBytes);
  deps.hash.digestInto(index, iv, 0);
  const sealed = new Uint8Array(deps.cipher.maxSealedBytes(index.length));
  const sealedBytes = deps.cipher.sealInto(iv, index, sealed, 0);
  const padding = deps.random.bytes(paddingBytes(pack.length));
  const postamble = encodePostamble({ iv, indexOffset: pack.length + padding.length, indexLength: sealedBytes });
  return Buffer.concat([padding, sealed.subarray(0, sealedBytes), postamble]);
}

/**
 * Appends the contents of smaller packs to larger ones of the same kind while the result stays within
 * `maxPackSizeBytes`. Sealed contents do not depend on their place, so only offsets move. On failure none of the packs is
 * left: their files are closed and removed.
 */
export async function joinPacks(
  packs: readonly StagedPack[],
  maxPackSizeBytes: number,
  deps: PackFinisherDeps,
): Promise<StagedPack[]> {
  const owned = new Set(packs);
  const joined: StagedPack[] = [];
  const headBytes = deps.formatReplicaBytes + PACK_PREAMBLE_BYTES;
  const largestFirst = [...packs].sort((a, b) => b.length - a.length);
  try {
    for (const pack of largestFirst) {
      const at = joined.findIndex(
        (target) => target.packId[0] === pack.packId[0] && target.length + pack.length - headBytes <= maxPackSizeBytes,
      );
      const target = joined[at];
      if (target === undefined) {
        joined.push(pack);
        continue;
      }
      joined[at] = await appendPack(target, pack, headBytes, deps.keySize);
      owned.delete(pack);
      await discardStaged(pack);
    }
    return joined;
  } catch (error) {
    for (const pack of owned) await discardStaged(pack);
    throw error;
  }
}

async function appendPack(
  target: StagedPack,
  pack: StagedPack,
  headBytes: number,
  keySize: number,
): Promise<StagedPack> {
  await copyBody(pack, headBytes, target);
  const rows = shiftRows(pack, target.length - headBytes, keySize);
  return {
    ...target,
    length: target.length + pack.length - headBytes,
    rows: Buffer.concat([target.rows, rows]),
    rowCount: target.rowCount + pack.rowCount,
  };
}

/** Closes and removes a pack that is not needed or cannot be stored; what fails then leaves a file that is no blob. */
export async function discardStaged(pack: StagedPack): Promise<void> {
  await closeFile(pack.fd).catch(() => undefined);
  await removeFile(pack.stagingPath).catch(() => undefined);
}

async function copyBody(from: StagedPack, head: number, to: StagedPack): Promise<void> {
  const buffer = new Uint8Array(Math.min(COPY_BYTES, from.length - head));
  for (let done = head; done < from.length;) {
    const { bytesRead } = await readAt(from.fd, buffer, 0, Math.min(buffer.length, from.length - done), done);
    if (bytesRead === 0) throw new RangeError(`staged pack ${from.packId} is shorter than what was written to it`);
    await writeFully(to, buffer.subarray(0, bytesRead), to.length + done - head);
    done += bytesRead;
  }
}

function shiftRows(pack: StagedPack, by: number, keySize: number): Uint8Array {
  const rows = Uint8Array.from(pack.rows);
  const view = new DataView(rows.buffer, rows.byteOffset, rows.byteLength);
  const stride = rowSize(keySize);
  for (let at = keySize; at < rows.length; at += stride) view.setUint32(at, view.getUint32(at, true) + by, true);
  return rows;
}

async function writeFully(pack: StagedPack, bytes: Uint8Array, position: number): Promise<void> {
  try {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await writeAt(pack.fd, bytes, done, bytes.length - done, position + done);
      done += bytesWritten;
    }
  } catch (cause) {
    throw translateStagingError(cause, 'write', pack.packId, pack.stagingPath);
  }
}
