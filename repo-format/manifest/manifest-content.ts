// The `m` content: gzip of `{"entries":[…]}` and a newline (snapshots §4.2). Kopia refuses a whole repository for one
// malformed content, so what is written here is exactly that, and what is read is held to the same rules.
import { constants, gunzipSync, gzipSync } from 'node:zlib';
import { splitJsonArray, splitJsonObject } from '../../base/go-json.ts';
import { WindlassError } from '../../base/errors.ts';
import { type ManifestEntry, corruptManifest, encodeManifestEntry, parseManifestEntry } from './manifest-entry.ts';

export const MANIFEST_PREFIX = 'm';
export const MANIFEST_COMPRESSOR = 'zstd-fastest';

// 128 MiB hold some 80,000 snapshot manifests. Gzip reaches 1000 : 1, so a small content could otherwise fill the memory.
const MAX_PLAINTEXT_BYTES = 128 << 20;

export function encodeManifestContent(entries: readonly ManifestEntry[]): Uint8Array {
  const plaintext = `{"entries":[${entries.map(encodeManifestEntry).join(',')}]}\n`;
  return new Uint8Array(gzipSync(Buffer.from(plaintext, 'utf8'), { level: constants.Z_DEFAULT_COMPRESSION }));
}

/** `MANIFEST_CORRUPT` for anything that kopia would refuse. */
export function parseManifestContent(bytes: Uint8Array): ManifestEntry[] {
  const text = gunzip(bytes);
  try {
    const members = splitJsonObject(text);
    const entries = members.filter(({ key }) => key.toLowerCase() === 'entries');
    // Kopia does not skip the values of other members, so a content with one fails there.
    if (entries.length !== members.length) throw corruptManifest('it has members besides its entries');
    if (entries.length > 1) throw corruptManifest('it lists its entries twice');
    return entries.flatMap(({ raw }) => splitJsonArray(raw)).map(parseManifestEntry);
  } catch (error) {
    if (error instanceof WindlassError && error.code === 'MANIFEST_CORRUPT') throw error;
    throw corruptManifest('it is not the JSON of manifests', error);
  }
}

function gunzip(bytes: Uint8Array): string {
  try {
    return gunzipSync(bytes, { maxOutputLength: MAX_PLAINTEXT_BYTES }).toString('utf8');
  } catch (cause) {
    throw corruptManifest('it does not unpack', cause);
  }
}
