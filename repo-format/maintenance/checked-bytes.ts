// The sealed bytes of a content as they may be stored once more: opened first, so that damage is found and never copied.
import { contentIv } from '../content/content-codec.ts';
import { contentCorrupt } from '../content/content-errors.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import type { RepositoryConfig } from '../format/repository-config.ts';
import type { IndexEntry } from '../index/entry.ts';

export interface CheckDeps {
  readonly cipher: ContentCipher;
  readonly config: Pick<RepositoryConfig, 'ecc'>;
}

/**
 * `sealed` itself; with error correction bytes sealed anew, so that what was corrected once is whole again. That they are
 * authentic for this id is all there is to know: what they decompress to was settled when they were written.
 * `CONTENT_CORRUPT` when they are not.
 */
export function checkedBytes({ cipher, config }: CheckDeps, entry: IndexEntry, sealed: Uint8Array): Uint8Array {
  const iv = contentIv(entry.id);
  let payload: Uint8Array;
  try {
    payload = cipher.open(iv, sealed);
  } catch (cause) {
    throw contentCorrupt(entry, 'failed authentication', cause);
  }
  if (entry.compressionId === 0 && payload.length !== entry.originalLength) {
    throw contentCorrupt(entry, `opens to ${payload.length} bytes where ${entry.originalLength} were stored`);
  }
  if (config.ecc === '') return sealed;
  const again = new Uint8Array(cipher.maxSealedBytes(payload.length));
  return again.subarray(0, cipher.sealInto(iv, payload, again, 0));
}
