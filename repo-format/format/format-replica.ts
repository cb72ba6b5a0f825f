// The copy of `kopia.repository` that packs carry where the password cannot change, and how it is found again (repository
// format §2.8). Lengths are little-endian here, unlike everywhere else.
//
// Replica (offset, size, meaning; n = length of the format blob):
//       0   2  n + 32
//       2   n  the format blob as stored
//   n + 2  32  HMAC-SHA-256 of it under "kopia-repository": recognition, not secrecy
//  n + 34   2  n + 32 again, so that it is found from its end too
import { timingSafeEqual } from 'node:crypto';
import { hmacSha256 } from '../crypto/key-derivation.ts';
import { formatInvalid } from './json-members.ts';

const CHECKSUM_KEY = 'kopia-repository';
const CHECKSUM_BYTES = 32;
const LENGTH_BYTES = 2;
const MAX_CHECKSUMMED_BYTES = 65_000;

/** How much of a pack's head (or tail) holds a replica, if there is one. */
export const REPLICA_SEARCH_BYTES = 65_536;

export function encodeFormatReplica(formatBlobBytes: Uint8Array): Uint8Array {
  const length = formatBlobBytes.length + CHECKSUM_BYTES;
  if (length > MAX_CHECKSUMMED_BYTES) throw formatInvalid('kopia.repository is too long for a replica');
  const replica = new Uint8Array(length + 2 * LENGTH_BYTES);
  const view = new DataView(replica.buffer);
  view.setUint16(0, length, true);
  replica.set(formatBlobBytes, LENGTH_BYTES);
  replica.set(hmacSha256(CHECKSUM_KEY, formatBlobBytes), LENGTH_BYTES + formatBlobBytes.length);
  view.setUint16(LENGTH_BYTES + length, length, true);
  return replica;
}

/** The format blob at the start of `head` (the first bytes of a pack), else undefined. */
export function recoverFormatBlob(head: Uint8Array): Uint8Array | undefined {
  if (head.length < LENGTH_BYTES) return undefined;
  const length = (head[0] ?? 0) | ((head[1] ?? 0) << 8);
  if (length > MAX_CHECKSUMMED_BYTES || length + LENGTH_BYTES > head.length) return undefined;
  return checkedFormatBlob(head.subarray(LENGTH_BYTES, LENGTH_BYTES + length));
}

/** The format blob at the end of `tail` (the last bytes of a blob), else undefined. */
export function recoverFormatBlobFromTail(tail: Uint8Array): Uint8Array | undefined {
  const end = tail.length - LENGTH_BYTES;
  if (end < 0) return undefined;
  const length = (tail[end] ?? 0) | ((tail[end + 1] ?? 0) << 8);
  if (length > MAX_CHECKSUMMED_BYTES || length > end) return undefined;
  return checkedFormatBlob(tail.subarray(end - length, end));
}

function checkedFormatBlob(checksummed: Uint8Array): Uint8Array | undefined {
  const length = checksummed.length - CHECKSUM_BYTES;
  if (length < 0) return undefined;
  const blob = checksummed.subarray(0, length);
  return timingSafeEqual(hmacSha256(CHECKSUM_KEY, blob), checksummed.subarray(length))
    ? Uint8Array.from(blob)
    : undefined;
}
