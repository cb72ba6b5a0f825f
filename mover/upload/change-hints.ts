// What this machine remembers of a source between two runs: for each file, a fingerprint of its path, inode and change
// time, and of what Kopia's rule looks at (size, mtime, mode, owner), because some file systems make the change time up.
// Kopia's rule misses a file rewritten in place with its old mtime put back; the change time does not. A fingerprint that
// is there also says that extended attributes are as they were. A directory of which
// nothing changed, and nothing below it is a directory, has a fingerprint of its own: its object serves again unread.
//
// Only a hint: losing the file costs nothing but time, a chance equality (2⁻⁶⁴) falls back to kopia's rule.
//
//   file    header line of JSON (format, root object of the snapshot it belongs to, device), newline, then the table
//   table   2^n slots of two u32le: both halves of the fingerprint, 0 0 for an empty slot; linear probing
import { closeSync, fstatSync, mkdirSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { StatRecord } from '../posix/libc.ts';

const FORMAT = 'windlass-change-hints-2';
const MAX_HEADER_BYTES = 4096;
/** 2^26 slots, half a gigabyte, are for more than thirty million files; a larger file is not ours. */
const MAX_SLOTS = 1 << 26;
/**
 * A file changed less than this long before it was read could change again within the same tick of the clock: it is not
 * remembered, and so read again next time. File systems with whole seconds need more.
 */
const RACY_MS = 100;
const RACY_COARSE_MS = 2000;

/** Both halves of a fingerprint, overwritten by each call; never 0 0. */
export interface Fingerprint {
  low: number;
  high: number;
}

/** Mixes text into a 32-bit state (FNV-1a with a final avalanche by the caller). */
function mixText(state: number, text: string): number {
  let hash = state;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

function mixWord(state: number, word: number): number {
  let hash = Math.imul(state ^ word, 0x85ebca6b);
  hash ^= hash >>> 13;
  return Math.imul(hash, 0xc2b2ae35) ^ (hash >>> 16);
}

/** Seed of a directory's entries, from its path below the root. */
export function directorySeed(path: string): number {
  return mixText(0x811c9dc5, path);
}

/** HOT. The fingerprint of the entry whose name is `bytes[start, end)`, in the directory with this seed. */
export function entryFingerprint(
  seed: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  stat: StatRecord,
  out: Fingerprint,
): void {
  let text = seed;
  for (let i = start; i < end; i++) text = Math.imul(text ^ (bytes[i] ?? 0), 0x01000193);
  mixStat(text, stat, out);
}

function mixStat(text: number, stat: StatRecord, out: Fingerprint): void {
  let low = mixWord(text, stat.inoLow);
  low = mixWord(low, stat.inoHigh);
  low = mixWord(low, stat.ctimeSeconds | 0);
  low = mixWord(low, stat.ctimeNanoseconds);
  low = mixWord(low, stat.size | 0);
  low = mixWord(low, stat.mtimeNanoseconds);
  low = mixWord(low, stat.mtimeSeconds | 0);
  let high = mixWord(text ^ 0x9e3779b9, stat.ctimeNanoseconds);
  high = mixWord(high, stat.ctimeSeconds | 0);
  high = mixWord(high, stat.inoLow ^ 0x27d4eb2f);
  high = mixWord(high, (stat.size | 0) ^ (stat.size / 2 ** 32));
  high = mixWord(high, stat.mtimeNanoseconds ^ stat.mode);
  high = mixWord(high, stat.uid);
  high = mixWord(high, stat.gid);
  // Another file system mounted in the place may have the same inodes.
  high = mixWord(high, stat.dev | 0);
  out.low = low >>> 0;
  out.high = (high | 1) >>> 0;
}

/** HOT. Adds an entry to the fingerprint of its directory; the order of entries does not matter. */
export function addFingerprint(sum: Fingerprint, entry: Fingerprint): void {
  sum.low = (sum.low + mixWord(entry.low, entry.high)) >>> 0;
  sum.high = (sum.high + mixWord(entry.high ^ 0x5bd1e995, entry.low)) >>> 0;
}

/** The fingerprint of a whole directory: the sum over its entries, their number, and its own inode and change time. */
export function directoryFingerprint(
  seed: number,
  entries: number,
  sum: Fingerprint,
  self: StatRecord,
  out: Fingerprint,
): void {
  mixStat(mixWord(mixWord(mixWord(seed, entries), sum.low), sum.high), self, out);
  out.low = mixWord(out.low, sum.high) >>> 0;
  out.high = (mixWord(out.high, sum.low) | 1) >>> 0;
}

/** True when the file may still change without its change time moving. `nowMs` is when it was listed. */
export function isRacy(stat: StatRecord, nowMs: number): boolean {
  const changedMs = stat.ctimeSeconds * 1000 + stat.ctimeNanoseconds / 1e6;
  return nowMs - changedMs < (stat.ctimeNanoseconds === 0 ? RACY_COARSE_MS : RACY_MS);
}

/** Fingerprints of one run, gathered by one lane. */
export class HintLog {
  #pairs = new Uint32Array(1024);
  #length = 0;

  add({ low, high }: Fingerprint): void {
    if (this.#length + 2 > this.#pairs.length) {
      const grown = new Uint32Array(this.#pairs.length * 2);
      grown.set(this.#pairs);
      this.#pairs = grown;
    }
    this.#pairs[this.#length++] = low;
    this.#pairs[this.#length++] = high;
  }

  /** Takes what was gathered so far. */
  take(): Uint32Array {
    const pairs = this.#pairs.slice(0, this.#length);
    this.#pairs = new Uint32Array(1024);
    this.#length = 0;
    return pairs;
  }
}

/** The table of the previous run, in memory that lanes share. */
export class HintTable {
  readonly memory: SharedArrayBuffer;
  readonly #words: Uint32Array;
  readonly #mask: number;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Uint32Array(memory);
    this.#mask = this.#words.length / 2 - 1;
  }

  /** HOT. */
  has({ low, high }: Fingerprint): boolean {
    const words = this.#words;
    for (let slot = low & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const stored = words[slot * 2 + 1];
      if (stored === 0) return false;
      if (stored === high && words[slot * 2] === low) return true;
    }
  }
}

export interface HintsIdentity {
  /** Root object of the snapshot the hints were made with; of another one they say nothing. */
  readonly rootObjectId: string;
  readonly device: number;
}

/** Loads the table when it belongs to exactly this snapshot and device; undefined otherwise, or when unreadable. */
export function loadHints(path: string, identity: HintsIdentity): HintTable | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined; // a first run, or the cache was cleared
  }
  try {
    const head = Buffer.alloc(MAX_HEADER_BYTES);
    const headBytes = readSync(fd, head, 0, head.length, 0);
    const newline = head.subarray(0, headBytes).indexOf(0x0a);
    if (newline < 0) return undefined;
    const header = JSON.parse(head.toString('utf8', 0, newline)) as Partial<HintsIdentity> & {
      format?: string;
      slots?: number;
    };
    const { format, slots = 0, rootObjectId, device } = header;
    if (format !== FORMAT || rootObjectId !== identity.rootObjectId || device !== identity.device) return undefined;
    const isPower = Number.isInteger(slots) && slots >= 2 && slots <= MAX_SLOTS && (slots & (slots - 1)) === 0;
    if (!isPower || fstatSync(fd).size !== newline + 1 + slots * 8) return undefined;
    const memory = new SharedArrayBuffer(slots * 8);
    const bytes = new Uint8Array(memory);
    for (let done = 0; done < bytes.length;) {
      const count = readSync(fd, bytes, done, bytes.length - done, newline + 1 + done);
      if (count === 0) return undefined;
      done += count;
    }
    // A look-up ends at an empty slot: damage must not have filled them.
    return isHalfEmpty(new Uint32Array(memory)) ? new HintTable(memory) : undefined;
  } catch {
    return undefined; // damaged: as good as none
  } finally {
    closeSync(fd);
  }
}

function isHalfEmpty(words: Uint32Array): boolean {
  let empty = 0;
  for (let at = 1; at < words.length; at += 2) if (words[at] === 0) empty++;
  return empty >= words.length / 4;
}

/** Writes the table of this run in place of the last one's, atomically. Throws system errors. */
export function storeHints(path: string, identity: HintsIdentity, logs: readonly Uint32Array[]): void {
  const entries = logs.reduce((sum, log) => sum + log.length / 2, 0);
  let slots = 2;
  while (slots < entries * 2) slots *= 2;
  if (slots > MAX_SLOTS) return;
  const words = new Uint32Array(slots * 2);
  const mask = slots - 1;
  for (const log of logs) {
    for (let i = 0; i < log.length; i += 2) {
      let slot = (log[i] ?? 0) & mask;
      while (words[slot * 2 + 1] !== 0) slot = (slot + 1) & mask;
      words[slot * 2] = log[i] ?? 0;
      words[slot * 2 + 1] = log[i + 1] ?? 0;
    }
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.tmp.${process.pid}`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    writeSync(fd, `${JSON.stringify({ format: FORMAT, ...identity, slots })}\n`);
    const bytes = new Uint8Array(words.buffer);
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
}
