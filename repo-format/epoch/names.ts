// Names of everything the epoch manager owns (repository format §1.2, §8.2): what a blob is, told from its name alone.
import type { BlobId } from '../blob/storage.ts';

export const EPOCH_MARKER_PREFIX = 'xe';
export const WATERMARK_PREFIX = 'xw';
export const UNCOMPACTED_PREFIX = 'xn';
export const SINGLE_EPOCH_PREFIX = 'xs';
export const RANGE_PREFIX = 'xr';

/** Left where a legacy repository was converted, so that clients without epochs fail. Not an index. */
export const LEGACY_POISON_BLOB =
  'n00000000000000000000000000000000-repository_unreadable_by_this_kopia_version_upgrade_required' as BlobId;

export function uncompactedPrefix(epoch: number): string {
  return `${UNCOMPACTED_PREFIX}${epoch}_`;
}

// 15 digits: every such number, and the next one, is exact. Longer ones are no epochs anyone reached.
const DECIMAL = /^\d{1,15}$/;

/** The number in front of the first `_`, after what are not digits; undefined when there is none. */
export function epochNumberOf(name: string): number | undefined {
  const [head = ''] = name.split('_', 1);
  return parseDecimal(head.replace(/^\D+/, ''));
}

/** Both bounds of `xr<min>_<max>_…`, inclusive. Undefined when they are no range: kopia never writes an empty one. */
export function epochRangeOf(name: string): { readonly min: number; readonly max: number } | undefined {
  const parts = name.split('_', 3);
  if (parts.length < 3) return undefined;
  const min = parseDecimal((parts[0] ?? '').replace(/^\D+/, ''));
  const max = parseDecimal(parts[1] ?? '');
  if (min === undefined || max === undefined || max < min) return undefined;
  return { min, max };
}

/** Unix seconds of `xw<seconds>`; undefined when malformed. */
export function watermarkSecondsOf(name: string): number | undefined {
  const text = name.slice(WATERMARK_PREFIX.length);
  return name.startsWith(WATERMARK_PREFIX) && /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function parseDecimal(text: string): number | undefined {
  return DECIMAL.test(text) ? Number(text) : undefined;
}
