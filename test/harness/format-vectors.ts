// What repository format §11.1 was made with, and the golden format blobs beside it.
import { readFileSync } from 'node:fs';

export const VECTOR_PASSWORD = 'kopia-spec-test';

const ascending = (start: number): Uint8Array => Uint8Array.from({ length: 32 }, (_, i) => start + i);

export const VECTOR_UNIQUE_ID: Uint8Array = ascending(0x00);
export const VECTOR_SECRET: Uint8Array = ascending(0x20);
export const VECTOR_MASTER_KEY: Uint8Array = ascending(0x40);
/** scrypt of the password, so that tests need not wait for it. */
export const VECTOR_FORMAT_KEY: Uint8Array = new Uint8Array(
  Buffer.from('25fd2066a1e282222c38b09896591821c0bee400ce9916e399f28c9dadf7f742', 'hex'),
);

export type GoldenFormat = 'v1' | 'v1-compacted-and-upgraded' | 'v3' | 'ecc' | 'password-changed';

/** A file of `test/golden/format-blobs`. */
export function goldenFormatBlob(name: GoldenFormat, part: 'repository' | 'blobcfg' | 'pack'): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../golden/format-blobs/${name}.${part}`, import.meta.url)));
}
