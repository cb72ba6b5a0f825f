// Content ids (repository format §4.3): an optional letter g–z, then the hash. As text in lower-case hex, as a binary
// key (`u8` letter or 0, then the hash) in indexes. Both forms sort alike.
import { WindlassError } from '../../base/errors.ts';

declare const contentIdBrand: unique symbol;
/** Text form: `k00112233…`. Never empty. */
export type ContentId = string & { readonly [contentIdBrand]: true };

export const MAX_HASH_BYTES = 32;
/** The largest binary key: a letter and the longest hash. */
export const MAX_KEY_BYTES = 1 + MAX_HASH_BYTES;

const CONTENT_ID = /^[g-z]?(?:[0-9a-fA-F]{2}){1,32}$/;
const FIRST_LETTER = 0x67; // g
const LAST_LETTER = 0x7a; // z

function invalid(text: string): WindlassError {
  return new WindlassError(`invalid content id ${JSON.stringify(text.slice(0, 80))}`, { code: 'CONTENT_ID_INVALID' });
}

export function isContentId(text: string): text is ContentId {
  return CONTENT_ID.test(text) && text === text.toLowerCase();
}

/** Accepts upper-case digits; `CONTENT_ID_INVALID` for anything that is not an id. */
export function parseContentId(text: string): ContentId {
  if (!CONTENT_ID.test(text)) throw invalid(text);
  return text.toLowerCase() as ContentId;
}

/** The letter in front, or '' for file data. */
export function contentPrefix(id: ContentId): string {
  return id.length % 2 === 1 ? id.slice(0, 1) : '';
}

/** True when `byte` may start a binary key: no letter, or g–z. */
export function isKeyPrefix(byte: number): boolean {
  return byte === 0 || (byte >= FIRST_LETTER && byte <= LAST_LETTER);
}

/** `prefix` is '' or one letter g–z. */
export function contentIdFromHash(prefix: string, hash: Uint8Array): ContentId {
  return parseContentId(prefix + Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('hex'));
}

/** The hash alone. */
export function contentHash(id: ContentId): Uint8Array {
  return contentKey(id).subarray(1);
}

/** The binary key, in a buffer of its own. */
export function contentKey(id: ContentId): Uint8Array {
  const key = new Uint8Array(1 + (id.length >> 1));
  writeContentKey(id, key, 0);
  return key;
}

/** HOT. Writes the binary key at `offset` of `out`; returns its length. */
export function writeContentKey(id: ContentId, out: Uint8Array, offset: number): number {
  let from = 0;
  out[offset] = 0;
  if (id.length % 2 === 1) out[offset] = id.charCodeAt(from++);
  let to = offset + 1;
  for (; from < id.length; from += 2)
    out[to++] = (hexDigit(id.charCodeAt(from)) << 4) | hexDigit(id.charCodeAt(from + 1));
  return to - offset;
}

function hexDigit(charCode: number): number {
  return charCode <= 0x39 ? charCode - 0x30 : charCode - 0x57;
}

/** The id of the binary key at `offset` of `bytes`; `CONTENT_ID_INVALID` when its letter is not one. */
export function contentIdFromKey(bytes: Uint8Array, offset: number, keySize: number): ContentId {
  const prefix = bytes[offset] ?? 0xff;
  if (keySize < 2 || !isKeyPrefix(prefix)) throw invalid(`key starting with byte ${prefix}`);
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset + offset + 1, keySize - 1).toString('hex');
  return (prefix === 0 ? hex : String.fromCharCode(prefix) + hex) as ContentId;
}
