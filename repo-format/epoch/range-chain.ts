// Which range compactions to use (repository format §8.2): those that follow each other from epoch 0 the farthest.
import type { BlobMetadata } from '../blob/storage.ts';

/** A complete range compaction; both bounds inclusive, `max` ≥ `min`. */
export interface EpochRange {
  readonly min: number;
  readonly max: number;
  readonly blobs: readonly BlobMetadata[];
}

interface Link {
  readonly range: EpochRange;
  readonly next: Link | undefined;
  readonly reaches: number;
  readonly length: number;
}

/** Among chains that reach equally far, the one with the fewest ranges. Empty when none starts at 0 or gets past it. */
export function longestChain(ranges: readonly EpochRange[]): EpochRange[] {
  // A chain goes on at max + 1 > min, so that taking starts from the highest down needs no recursion.
  const best = new Map<number, Link>();
  for (const range of ranges.toSorted((a, b) => b.min - a.min)) {
    const next = best.get(range.max + 1);
    const link: Link = { range, next, reaches: next?.reaches ?? range.max, length: 1 + (next?.length ?? 0) };
    const known = best.get(range.min);
    const farther = link.reaches > (known?.reaches ?? 0);
    const shorter = known !== undefined && link.reaches === known.reaches && link.length < known.length;
    if (farther || shorter) best.set(range.min, link);
  }
  const chain: EpochRange[] = [];
  for (let link = best.get(0); link !== undefined; link = link.next) chain.push(link.range);
  return chain;
}
