// Which session wrote a blob, told from its name (repository format §9.1).
import type { BlobId } from './storage.ts';

/** The first `-`-separated part, after the first, that begins with `s`; undefined when the name tells no session. */
export function sessionIdOfBlob(id: BlobId): string | undefined {
  const [, ...parts] = id.split('-');
  return parts.find((part) => part.startsWith('s'));
}
