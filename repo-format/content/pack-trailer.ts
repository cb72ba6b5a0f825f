// What follows the contents in a pack blob: padding, the encrypted local index, the postamble (repository format §6.1,
// §6.3, §6.4). The local index exists only for recovery; ordinary reads never touch it.
//
//   padding      1..4096 random bytes up to a multiple of 4096
//   local index  ENC(KH(index ‖ 32 random bytes), …)
//   postamble    uvarint 1, uvarint len(iv), iv, uvarint offset, uvarint length, u32be crc32 of all these
//   last byte    length of the postamble
import { crc32 } from 'node:zlib';
import { WindlassError } from '../../base/errors.ts';
import type { BlobId } from '../blob/storage.ts';

export const PACK_ALIGNMENT = 4096;
export const PACK_PREAMBLE_BYTES = 32;
const POSTAMBLE_VERSION = 1;
const MIN_IV_BYTES = 16;
const MAX_IV_BYTES = 32;

/** Bytes of padding behind `length` bytes of contents: an aligned pack gets a whole further block. */
export function paddingBytes(length: number): number {
  return PACK_ALIGNMENT - (length % PACK_ALIGNMENT);
}

export interface Postamble {
  readonly iv: Uint8Array;
  /** Where the encrypted local index is in the blob, and how long. */
  readonly indexOffset: number;
  readonly indexLength: number;
}

function pushUvarint(out: number[], value: number): void {
  let rest = value;
  while (rest >= 0x80) {
    out.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  out.push(rest);
}

/** The postamble with its length byte: the last bytes of a pack. */
export function encodePostamble(postamble: Postamble): Uint8Array {
  const body: number[] = [];
  pushUvarint(body, POSTAMBLE_VERSION);
  pushUvarint(body, postamble.iv.length);
  body.push(...postamble.iv);
  pushUvarint(body, postamble.indexOffset);
  pushUvarint(body, postamble.indexLength);
  const out = new Uint8Array(body.length + 5);
  out.set(body);
  new DataView(out.buffer).setUint32(body.length, crc32(out.subarray(0, body.length)));
  out[body.length + 4] = body.length + 4;
  return out;
}

function trailerInvalid(packId: BlobId, reason: string): WindlassError {
  return new WindlassError(`pack ${packId} has no usable postamble: ${reason}`, {
    code: 'PACK_TRAILER_INVALID',
    context: { packId },
  });
}

/**
 * Reads the postamble from the last bytes of a pack.
 * @param tail the end of the blob, at least its last 256 bytes (or the whole blob when shorter)
 * @param blobLength length of the whole blob, to check the offsets against
 */
export function parsePostamble(packId: BlobId, tail: Uint8Array, blobLength: number): Postamble {
  const length = tail[tail.length - 1] ?? 0;
  if (length < 5 || length + 1 > tail.length) throw trailerInvalid(packId, 'length byte out of range');
  const postamble = tail.subarray(tail.length - 1 - length, tail.length - 1);
  const body = postamble.subarray(0, length - 4);
  const stored = new DataView(postamble.buffer, postamble.byteOffset + length - 4, 4).getUint32(0);
  if (crc32(body) !== stored) throw trailerInvalid(packId, 'checksum mismatch');
  let at = 0;
  const uvarint = (): number => {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = body[at++];
      if (byte === undefined || scale > 2 ** 42) throw trailerInvalid(packId, 'number out of range');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  };
  if (uvarint() !== POSTAMBLE_VERSION) throw trailerInvalid(packId, 'unknown version');
  const ivLength = uvarint();
  const iv = Uint8Array.from(body.subarray(at, at + ivLength));
  if (iv.length !== ivLength || ivLength < MIN_IV_BYTES || ivLength > MAX_IV_BYTES)
    throw trailerInvalid(packId, 'initialisation vector of impossible length');
  at += ivLength;
  const indexOffset = uvarint();
  const indexLength = uvarint();
  if (at !== body.length) throw trailerInvalid(packId, 'trailing bytes');
  if (indexOffset + indexLength > blobLength - length - 1) throw trailerInvalid(packId, 'local index outside the blob');
  return { iv, indexOffset, indexLength };
}
