// What happens to something that is in the target already. Pure: facts in, decision out.
import { S_IFDIR, S_IFMT, S_IFREG, type StatRecord } from '../posix/libc.ts';
import type { AttributePolicy } from './attributes.ts';
import { UNFINISHED_MODE } from './row-writer.ts';

export type OverwriteRule = 'never' | 'if-different' | 'always';

/**
 * `unchanged`: it is as wanted. `kept`: it is not, and stays. `repair`: only attributes differ. `replace`: write anew.
 * `conflict`: it is a directory.
 */
export type ExistingDecision = 'unchanged' | 'kept' | 'repair' | 'replace' | 'conflict';

/** What the snapshot wants in this place; never a directory. */
export interface WantedEntry {
  /** Type and permission bits, as st_mode. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of a file, or of a symlink's target; 0 for others. */
  readonly size: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** A file that a run of this program began and did not finish. */
export function isUnfinished(stat: StatRecord, euid: number): boolean {
  return stat.mode === (S_IFREG | UNFINISHED_MODE) && stat.uid === euid && stat.nlink === 1;
}

export function decideExisting(
  stat: StatRecord,
  wanted: WantedEntry,
  rule: OverwriteRule,
  policy: AttributePolicy,
): ExistingDecision {
  const type = stat.mode & S_IFMT;
  if (type === S_IFDIR) return rule === 'never' ? 'kept' : 'conflict';
  if (isUnfinished(stat, policy.euid) && !isSame(stat, wanted, policy)) return 'replace';
  if (rule === 'always') return 'replace';
  const same = isSame(stat, wanted, policy);
  if (same && hasWantedAttributes(stat, wanted, policy)) return 'unchanged';
  if (rule === 'never') return 'kept';
  // A file with several links could be anybody's: what is done to it would be done to them.
  return same && type === S_IFREG && stat.nlink === 1 ? 'repair' : 'replace';
}

/** The same thing by type, size and time. Without times nothing tells two versions of a file apart. */
function isSame(stat: StatRecord, wanted: WantedEntry, policy: AttributePolicy): boolean {
  if ((stat.mode & S_IFMT) !== (wanted.mode & S_IFMT) || !policy.times) return false;
  if (stat.rdevMajor !== wanted.deviceMajor || stat.rdevMinor !== wanted.deviceMinor) return false;
  return (
    stat.size === wanted.size &&
    stat.mtimeSeconds === wanted.mtimeSeconds &&
    stat.mtimeNanoseconds === wanted.mtimeNanoseconds
  );
}

function hasWantedAttributes(stat: StatRecord, wanted: WantedEntry, policy: AttributePolicy): boolean {
  const isLink = (wanted.mode & S_IFMT) !== S_IFREG && (wanted.mode & 0o7777) === 0o777;
  if (policy.modes && !isLink && stat.mode !== wanted.mode) return false;
  return !policy.owners || (stat.uid === wanted.uid && stat.gid === wanted.gid);
}
