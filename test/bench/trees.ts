// The trees the bench backs up: a copy of a real system folder, two large files, many small files; and how one per cent
// of each changes between two backups. Everything made here is repeatable, given the same machine.
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  statSync,
  symlinkSync,
  lutimesSync,
  utimesSync,
  writeFileSync,
  writeSync,
  type Stats,
} from 'node:fs';
import { dirname, join } from 'node:path';

import { SeededRandom } from '../harness/seeded-random.ts';

export interface Tree {
  readonly name: TreeName;
  readonly path: string;
  readonly files: number;
  readonly bytes: number;
  /** Files that `change` rewrites, in a fixed order. */
  readonly changing: readonly ChangingRange[];
  /** One large file for the phase that restores just that. */
  readonly largeFile: string | undefined;
}

interface ChangingRange {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

export type TreeName = 'system' | 'large' | 'small' | 'million';

const MIB = 1 << 20;
/** A changed file gets new bytes up to this length at its start; its size stays. */
const CHANGED_BYTES = 4096;

/** A copy of `source`, up to `capBytes` of file data, files of other kinds than plain, folder and link left out. */
export function makeSystemTree(path: string, source: string, capBytes: number): Tree {
  const files: { path: string; size: number }[] = [];
  let bytes = 0;
  const copy = (from: string, to: string): void => {
    mkdirSync(to);
    for (const entry of readdirSync(from, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const [source, target] = [join(from, entry.name), join(to, entry.name)];
      const stat = lstatSync(source);
      if (entry.isSymbolicLink()) {
        symlinkSync(readlinkSync(source), target);
        lutimesSync(target, stat.atime, stat.mtime);
      } else if (entry.isDirectory()) copy(source, target);
      else if (entry.isFile() && bytes + stat.size <= capBytes) {
        copyFileSync(source, target, constants.COPYFILE_EXCL);
        chmodSync(target, stat.mode & 0o7777);
        utimesSync(target, stat.atime, stat.mtime);
        files.push({ path: target, size: stat.size });
        bytes += stat.size;
      }
    }
    const stat = statSync(from);
    utimesSync(to, stat.atime, stat.mtime);
  };
  copy(source, path);
  return { name: 'system', path, files: files.length, bytes, changing: everyHundredth(files), largeFile: undefined };
}

/**
 * A part of what `makeSystemTree` copies, about `share` of its bytes and of its files: of small files whole folders, one of so
 * many; of large files, which few folders hold and most of the bytes are in, one of so many in the order of their sizes.
 */
export function makeSystemSample(path: string, source: string, capBytes: number, share: number): Tree {
  const every = Math.max(1, Math.round(1 / share));
  const isChosen = (_: unknown, index: number): boolean => index % every === every >> 1;
  const { folders, large } = foundUpTo(source, capBytes);
  const files: { path: string; size: number }[] = [];
  mkdirSync(path);
  for (const { path: from, stat } of [...folders.filter(isChosen).flat(), ...large.filter(isChosen)]) {
    const target = join(path, from.slice(source.length));
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(from, target, constants.COPYFILE_EXCL);
    chmodSync(target, stat.mode & 0o7777);
    utimesSync(target, stat.atime, stat.mtime);
    files.push({ path: target, size: stat.size });
  }
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return { name: 'system', path, files: files.length, bytes, changing: everyHundredth(files), largeFile: undefined };
}

interface FoundFile {
  readonly path: string;
  readonly stat: Stats;
}

/** Plain files as long as the cap allows: the small ones by folder, the large ones by size. */
function foundUpTo(source: string, capBytes: number): { folders: FoundFile[][]; large: FoundFile[] } {
  let left = capBytes;
  const large: FoundFile[] = [];
  const folders = [source, ...foldersBelow(source)].map((folder) => {
    const small: FoundFile[] = [];
    for (const path of plainFiles(folder, false)) {
      const stat = lstatSync(path);
      if (stat.size > left) continue;
      left -= stat.size;
      (stat.size > MIB ? large : small).push({ path, stat });
    }
    return small;
  });
  large.sort((a, b) => a.stat.size - b.stat.size);
  return { folders: folders.filter((folder) => folder.length > 0), large };
}

function* foldersBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!entry.isDirectory()) continue;
    yield join(folder, entry.name);
    yield* foldersBelow(join(folder, entry.name));
  }
}

/** Two files of `sizeBytes`: one of random bytes, one of real programs and libraries put end to end. */
export function makeLargeTree(path: string, sizeBytes: number, programsFrom: string): Tree {
  mkdirSync(path);
  const random = join(path, 'random.bin');
  const programs = join(path, 'programs.bin');
  writeRandomFile(random, sizeBytes, 1);
  concatenateFiles(programs, sizeBytes, programsFrom);
  const changing: ChangingRange[] = [];
  for (const file of [random, programs]) {
    for (let offset = 0; offset + MIB <= sizeBytes; offset += 100 * MIB)
      changing.push({ path: file, offset, length: MIB });
  }
  return { name: 'large', path, files: 2, bytes: 2 * sizeBytes, changing, largeFile: 'random.bin' };
}

/** `folders` folders of equally many files, a few bytes to some 16 KiB each unless `tiny`. */
export function makeSmallTree(path: string, count: number, folders: number, tiny = false): Tree {
  const random = new SeededRandom(7);
  const pool = random.text(1 * MIB);
  const files: { path: string; size: number }[] = [];
  let bytes = 0;
  mkdirSync(path);
  for (let folder = 0; folder < folders; folder++) {
    const at = join(path, `folder-${String(folder).padStart(4, '0')}`);
    mkdirSync(at);
    for (let n = 0; n < count / folders; n++) {
      const size = tiny ? random.between(16, 64) : Math.floor(64 * 256 ** (random.next() / 0x1_0000_0000));
      const start = random.below(pool.length - size);
      const file = join(at, `file-${String(n).padStart(4, '0')}.txt`);
      writeFileSync(file, Buffer.concat([Buffer.from(`${folder}/${n}\n`), pool.subarray(start, start + size)]));
      files.push({ path: file, size });
      bytes += size;
    }
  }
  const name = tiny ? 'million' : 'small';
  return { name, path, files: files.length, bytes, changing: everyHundredth(files), largeFile: undefined };
}

/** Rewrites the same one per cent with other bytes: sizes stay, so every cycle of the bench is like the one before. */
export function changeOnePercent(tree: Tree, generation: number): void {
  const random = new SeededRandom(1000 + generation);
  for (const range of tree.changing) {
    const fd = openSync(range.path, 'r+');
    writeSync(fd, random.bytes(range.length), 0, range.length, range.offset);
    closeSync(fd);
  }
}

function everyHundredth(files: readonly { path: string; size: number }[]): ChangingRange[] {
  return files
    .filter((_, index) => index % 100 === 50)
    .map(({ path, size }) => ({ path, offset: 0, length: Math.min(size, CHANGED_BYTES) }));
}

function writeRandomFile(path: string, sizeBytes: number, seed: number): void {
  const random = new SeededRandom(seed);
  const piece = Buffer.alloc(4 * MIB);
  const fd = openSync(path, 'w');
  for (let left = sizeBytes; left > 0; left -= piece.length) {
    random.fill(piece);
    writeSync(fd, piece, 0, Math.min(left, piece.length));
  }
  closeSync(fd);
}

/** Plain files below `from`, largest folders first come first served, repeated if they do not suffice. */
function concatenateFiles(path: string, sizeBytes: number, from: string): void {
  const out = openSync(path, 'w');
  const piece = Buffer.alloc(4 * MIB);
  let left = sizeBytes;
  while (left > 0) {
    const before = left;
    for (const file of plainFiles(from)) {
      if (left === 0) break;
      const fd = openSync(file, 'r');
      for (;;) {
        const count = readSync(fd, piece, 0, Math.min(piece.length, left), null);
        if (count === 0) break;
        writeSync(out, piece, 0, count);
        left -= count;
      }
      closeSync(fd);
    }
    if (left === before) throw new Error(`no readable files below ${from}`);
  }
  closeSync(out);
}

function* plainFiles(folder: string, deep = true): Generator<string> {
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) if (entry.isFile()) yield join(folder, entry.name);
  if (!deep) return;
  for (const entry of entries) if (entry.isDirectory()) yield* plainFiles(join(folder, entry.name));
}
