// Which compressor a policy chooses for a file (snapshots §5.4).
import { compareUtf8 } from '../../base/go-json.ts';
import type { CompressionPolicy, Policy } from './policy.ts';

export const NO_COMPRESSOR = 'none';

/**
 * As kopia decides: none outside the sizes, none for an extension of `neverCompress`. `onlyCompress` is there only to
 * override `neverCompress`; it keeps nothing else from being compressed.
 */
export function compressorForFile(policy: CompressionPolicy, name: string, sizeBytes: number): string {
  const { compressorName = '', minSize = 0, maxSize = 0, onlyCompress = [], neverCompress = [] } = policy;
  if (compressorName === '' || compressorName === NO_COMPRESSOR) return NO_COMPRESSOR;
  if (minSize > 0 && sizeBytes < minSize) return NO_COMPRESSOR;
  if (maxSize > 0 && sizeBytes > maxSize) return NO_COMPRESSOR;
  if (onlyCompress.length === 0 && neverCompress.length === 0) return compressorName;
  const extension = extensionOf(name);
  if (includesSorted(onlyCompress, extension)) return compressorName;
  return includesSorted(neverCompress, extension) ? NO_COMPRESSOR : compressorName;
}

/** For directory and index objects. */
export function metadataCompressor(policy: Policy): string {
  return policy.metadataCompression?.compressorName || NO_COMPRESSOR;
}

/** From the last dot on, with it: `.gz`; '' without a dot. */
function extensionOf(name: string): string {
  const dot = name.lastIndexOf('.');
  return dot < 0 ? '' : name.slice(dot);
}

/** Binary search; effective policies keep their lists sorted. */
function includesSorted(list: readonly string[], wanted: string): boolean {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareUtf8(list[middle] ?? '', wanted) < 0) low = middle + 1;
    else high = middle;
  }
  return list[low] === wanted;
}
