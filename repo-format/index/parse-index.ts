// Opens index bytes of either version (repository format §7). Rows are read in place; only the header is checked here.
import { parseIndexV1 } from './index-v1.ts';
import { parseIndexV2 } from './index-v2.ts';
import { indexCorrupt, type ParsedIndex } from './parsed-index.ts';

/** `INDEX_CORRUPT` when the bytes are not an index. Keeps `bytes`. Bytes after the parts it names are ignored. */
export function parseIndex(bytes: Uint8Array): ParsedIndex {
  const version = bytes[0];
  if (version === 1) return parseIndexV1(bytes);
  if (version === 2) return parseIndexV2(bytes);
  throw indexCorrupt('unknown version', { version: version ?? -1 });
}
