// What a folder holds, as one line per entry, to compare a restored tree with its source: type, mode, owner, time,
// size and content or target, hard links by their group. Paths are bytes shown as latin1, so any name is comparable.
import { createHash } from 'node:crypto';
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type BigIntStats } from 'node:fs';

export interface ScanOptions {
  /** Directory times are left out where the restoring program does not keep them. */
  readonly directoryTimes?: boolean;
  readonly owners?: boolean;
  readonly times?: boolean;
  /** Paths of the same file are shown as a group. */
  readonly hardLinks?: boolean;
}

const DEFAULTS = { directoryTimes: true, owners: true, times: true, hardLinks: true };

/** Lines sorted by path; the root is `.`. */
export function scanTree(root: string, options: ScanOptions = {}): string[] {
  const wanted = { ...DEFAULTS, ...options };
  const lines: string[] = [];
  const firstPathOf = new Map<string, string>();
  const visit = (path: Buffer, shown: string): void => {
    const stat = lstatSync(path, { bigint: true });
    const link = wanted.hardLinks ? hardLinkText(stat, shown, firstPathOf) : '';
    lines.push(`${shown} ${describe(path, stat, wanted)}${link}`);
    if (!stat.isDirectory()) return;
    const names = readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare);
    for (const name of names) visit(Buffer.concat([path, SLASH, name]), `${shown}/${name.toString('latin1')}`);
  };
  visit(Buffer.from(root), '.');
  return lines;
}

const SLASH = Buffer.from('/');

function describe(path: Buffer, stat: BigIntStats, wanted: typeof DEFAULTS): string {
  const parts = [typeLetter(stat), (stat.mode & 0o7777n).toString(8)];
  if (wanted.owners) parts.push(`${stat.uid}:${stat.gid}`);
  if (wanted.times && !stat.isSymbolicLink() && (wanted.directoryTimes || !stat.isDirectory()))
    parts.push(`${stat.mtimeNs}`);
  if (stat.isFile()) parts.push(`${stat.size}`, hashFile(path));
  if (stat.isSymbolicLink()) parts.push(readlinkSync(path, { encoding: 'buffer' }).toString('latin1'));
  if (stat.isCharacterDevice() || stat.isBlockDevice()) parts.push(`${stat.rdev}`);
  return parts.join(' ');
}

function hardLinkText(stat: BigIntStats, shown: string, firstPathOf: Map<string, string>): string {
  if (stat.isDirectory() || stat.nlink < 2n) return '';
  const key = `${stat.dev}:${stat.ino}`;
  const first = firstPathOf.get(key) ?? shown;
  firstPathOf.set(key, first);
  return ` =${first}`;
}

function typeLetter(stat: BigIntStats): string {
  if (stat.isDirectory()) return 'd';
  if (stat.isFile()) return 'f';
  if (stat.isSymbolicLink()) return 'l';
  if (stat.isFIFO()) return 'p';
  if (stat.isSocket()) return 's';
  return stat.isBlockDevice() ? 'b' : 'c';
}

/** SHA-256 of a file, read in pieces: trees under test may hold large ones. */
export function hashFile(path: string | Buffer): string {
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(1 << 20);
  const fd = openSync(path, 'r');
  try {
    for (;;) {
      const count = readSync(fd, piece, 0, piece.length, null);
      if (count === 0) return hash.digest('hex');
      hash.update(piece.subarray(0, count));
    }
  } finally {
    closeSync(fd);
  }
}
