// Which blobs object lock protects (repository format §1.4): all that a restore needs.
import type { BlobId } from './storage.ts';

export const RETAINED_PREFIXES = ['n', 'x', 'kopia.repository', 'kopia.blobcfg', 'p', 'q'] as const;

export function isRetainedBlob(id: BlobId): boolean {
  return RETAINED_PREFIXES.some((prefix) => id.startsWith(prefix));
}
