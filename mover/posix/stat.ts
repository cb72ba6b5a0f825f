// File attributes through statx(2) into one reused buffer: exact nanoseconds, exact 64-bit inodes, no BigInt and no
// allocation. statx has the same layout on every machine and cost the same as fstatat (0003-system-calls).

import { type Binding, binding, pathA } from './binding.ts';
import { AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './constants.ts';

// struct statx (offset, size, meaning):
//    0 4 mask       4 4 blksize   8 8 attributes  16 4 nlink   20 4 uid    24 4 gid    28 2 mode
//   32 8 ino       40 8 size     48 8 blocks      56 8 attributes_mask
//   64 16 atime    80 16 btime   96 16 ctime     112 16 mtime  (each: 8 seconds signed, 4 nanoseconds, 4 spare)
//  128 4 rdev major 132 4 rdev minor 136 4 dev major 140 4 dev minor 144 8 mount id
const STATX_BYTES = 256;
const STATX_BASIC_STATS = 0x7ff;
const STATX_ATTR_MOUNT_ROOT = 0x2000;

/** One file's attributes; a mutable record meant to be reused for a whole walk. */
export class StatRecord {
  /** Type and permission bits, as st_mode. */
  mode = 0;
  uid = 0;
  gid = 0;
  nlink = 0;
  /** Exact up to 2^53; larger sparse files (8 PiB and more) are rounded. */
  size = 0;
  /** In units of 512 bytes. */
  blocks = 0;
  blockSize = 0;
  /** Rounded above 2^53 (overlay file systems use the high bits): compare with {@link sameFile}, print with {@link inodeText}. */
  ino = 0;
  inoHigh = 0;
  inoLow = 0;
  /** As `dev` of `fs.Stats`. */
  dev = 0;
  rdevMajor = 0;
  rdevMinor = 0;
  /** Whole seconds since 1970, rounded down; the nanoseconds are 0…999,999,999 also before 1970. */
  mtimeSeconds = 0;
  mtimeNanoseconds = 0;
  ctimeSeconds = 0;
  ctimeNanoseconds = 0;
  /** True for the root of a mount, where the kernel says so (Linux 5.8). */
  isMountRoot = false;

  get isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR;
  }
  get isRegular(): boolean {
    return (this.mode & S_IFMT) === S_IFREG;
  }
  get isSymlink(): boolean {
    return (this.mode & S_IFMT) === S_IFLNK;
  }

  /** Copies another record's values. */
  assign(from: StatRecord): this {
    return Object.assign(this, from);
  }
}

/** Same inode on the same device: the same file, as long as one of the two is kept open. */
export function sameFile(a: StatRecord, b: StatRecord): boolean {
  return a.inoLow === b.inoLow && a.inoHigh === b.inoHigh && a.dev === b.dev;
}

/** True when nothing a reader could notice changed between two looks: size, mtime and ctime, to the nanosecond. */
export function sameVersion(a: StatRecord, b: StatRecord): boolean {
  return (
    a.size === b.size &&
    a.mtimeSeconds === b.mtimeSeconds &&
    a.mtimeNanoseconds === b.mtimeNanoseconds &&
    a.ctimeSeconds === b.ctimeSeconds &&
    a.ctimeNanoseconds === b.ctimeNanoseconds
  );
}

/** The inode number in decimal, exact. */
export function inodeText(stat: StatRecord): string {
  return stat.inoHigh < 0x200000 ? String(stat.ino) : String((BigInt(stat.inoHigh) << 32n) | BigInt(stat.inoLow));
}

/** Modification time in nanoseconds since 1970. Exact, and slow: for what is kept, not for comparing. */
export function mtimeNs(stat: StatRecord): bigint {
  return BigInt(stat.mtimeSeconds) * 1_000_000_000n + BigInt(stat.mtimeNanoseconds);
}

/** Device number from its two parts, as makedev(3) packs them. */
export function makeDevice(major: number, minor: number): number {
  // (major's high bits above bit 44, minor's high bits from bit 20, then 12 bits of major and 8 of minor)
  return (
    Math.floor(major / 0x1000) * 2 ** 44 +
    Math.floor(minor / 0x100) * 2 ** 20 +
    (major & 0xfff) * 0x100 +
    (minor & 0xff)
  );
}

let area: { readonly words: Uint32Array; readonly signed: Int32Array; readonly address: number } | undefined;

function statArea(b: Binding): NonNullable<typeof area> {
  if (area !== undefined) return area;
  const bytes = new ArrayBuffer(STATX_BYTES);
  const words = new Uint32Array(bytes);
  area = { words, signed: new Int32Array(bytes), address: b.addressOf(words) };
  return area;
}

/** Attributes of `name` in `dirFd`, not following a symlink. 0 or a negative errno. HOT, no allocation. */
export function statAt(dirFd: number, name: Uint8Array | string, out: StatRecord): number {
  const b = binding();
  const path = pathA(b, name);
  return path < 0 ? path : statAddress(b, dirFd, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, out);
}

/** As {@link statAt}, following symlinks. */
export function statAtFollowing(dirFd: number, name: Uint8Array | string, out: StatRecord): number {
  const b = binding();
  const path = pathA(b, name);
  return path < 0 ? path : statAddress(b, dirFd, path, AT_NO_AUTOMOUNT, out);
}

/** Attributes of an open file, O_PATH ones included. 0 or a negative errno. HOT. */
export function fstat(fd: number, out: StatRecord): number {
  const b = binding();
  return statAddress(b, fd, b.emptyPath, AT_EMPTY_PATH, out);
}

/** @internal As {@link statAt} for a NUL-terminated name that already lies in pinned memory. HOT. */
export function statAddress(b: Binding, dirFd: number, path: number, flags: number, out: StatRecord): number {
  const { words, signed, address } = statArea(b);
  if (b.raw.statx(b.numbers.statx, dirFd, path, flags, STATX_BASIC_STATS, address) < 0) return -b.errno();
  decode(words, signed, out);
  return 0;
}

function decode(words: Uint32Array, signed: Int32Array, out: StatRecord): void {
  // Indexes are offsets / 4; they lie inside the 64 words, so the `as number` is what the type system cannot see.
  out.isMountRoot = ((words[2] as number) & STATX_ATTR_MOUNT_ROOT) !== 0;
  out.blockSize = words[1] as number;
  out.nlink = words[4] as number;
  out.uid = words[5] as number;
  out.gid = words[6] as number;
  out.mode = (words[7] as number) & 0xffff;
  out.inoLow = words[8] as number;
  out.inoHigh = words[9] as number;
  out.ino = out.inoHigh * 0x1_0000_0000 + out.inoLow;
  out.size = (words[11] as number) * 0x1_0000_0000 + (words[10] as number);
  out.blocks = (words[13] as number) * 0x1_0000_0000 + (words[12] as number);
  out.ctimeSeconds = (signed[25] as number) * 0x1_0000_0000 + (words[24] as number);
  out.ctimeNanoseconds = words[26] as number;
  out.mtimeSeconds = (signed[29] as number) * 0x1_0000_0000 + (words[28] as number);
  out.mtimeNanoseconds = words[30] as number;
  out.rdevMajor = words[32] as number;
  out.rdevMinor = words[33] as number;
  out.dev = makeDevice(words[34] as number, words[35] as number);
}
