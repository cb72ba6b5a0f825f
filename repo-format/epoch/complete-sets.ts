// Compactions publish several blobs that count only together (repository format §8.2): `…-s<set>-c<count>`.
import type { BlobMetadata } from '../blob/storage.ts';

const COUNT = /^c[+-]?\d{1,15}$/;

/** Sets whose last blob was seen, in the order they became complete. A name that tells no set is one by itself. */
export function completeSets(blobs: readonly BlobMetadata[]): BlobMetadata[][] {
  const complete: BlobMetadata[][] = [];
  const growing = new Map<string, BlobMetadata[]>();
  for (const blob of blobs) {
    const [, set = '', count = ''] = blob.id.split('-');
    if (!set.startsWith('s') || !COUNT.test(count)) {
      complete.push([blob]);
      continue;
    }
    const members = growing.get(set) ?? [];
    growing.set(set, members);
    members.push(blob);
    if (members.length === Number(count.slice(1))) complete.push([...members]);
  }
  return complete;
}

/** Any complete set will do: two for the same epochs hold the same entries. */
export function firstCompleteSet(blobs: readonly BlobMetadata[]): BlobMetadata[] | undefined {
  return completeSets(blobs)[0];
}
