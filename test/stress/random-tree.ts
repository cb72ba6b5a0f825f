// A tree that changes at random: what users, programs and file systems do between two backups. Repeatable by its seed.
import {
  appendFileSync,
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  type Dirent,
} from 'node:fs';
import { join } from 'node:path';

import type { SeededRandom } from '../harness/seeded-random.ts';

const MAX_FILES = 150;

const CHANGES = {
  create: 10,
  overwrite: 6,
  append: 6,
  truncate: 3,
  remove: 7,
  rename: 4,
  makeFolder: 4,
  removeFolder: 1,
  symlink: 2,
  hardLink: 2,
  mode: 3,
  time: 3,
} as const;

export class RandomTree {
  readonly path: string;
  readonly #random: SeededRandom;
  #names = 0;

  constructor(path: string, random: SeededRandom) {
    this.path = path;
    this.#random = random;
    mkdirSync(path, { recursive: true });
  }

  /** Up to `count` changes. */
  change(count: number): void {
    for (let n = 0; n < count; n++) this.#changeOnce();
  }

  #changeOnce(): void {
    const random = this.#random;
    const folders = this.#list((entry) => entry.isDirectory());
    const files = this.#list((entry) => entry.isFile());
    const folder = random.pick([this.path, ...folders]);
    const fresh = join(
      folder,
      `${random.pick(['file', 'f', 'naïve 名', 'with space', 'x'.repeat(80)])}-${this.#names++}`,
    );
    const kind = random.weighted(CHANGES);
    if (kind === 'makeFolder') {
      mkdirSync(fresh);
      return;
    }
    if (kind === 'symlink') return symlinkSync(random.pick(['.', '../..', 'nowhere', '/']), fresh);
    if (kind === 'removeFolder')
      return folders.length > 0 ? rmSync(random.pick(folders), { recursive: true }) : undefined;
    if (kind === 'create' || files.length === 0) {
      return files.length < MAX_FILES ? writeFileSync(fresh, this.#content()) : rmSync(random.pick(files));
    }
    this.#changeFile(kind, random.pick(files), fresh);
  }

  #changeFile(
    kind: Exclude<keyof typeof CHANGES, 'create' | 'makeFolder' | 'symlink' | 'removeFolder'>,
    file: string,
    fresh: string,
  ): void {
    const random = this.#random;
    switch (kind) {
      case 'overwrite':
        return writeFileSync(file, this.#content());
      case 'append':
        return appendFileSync(file, random.bytes(random.between(1, 5000)));
      case 'truncate':
        return truncateSync(file, random.below(200_000));
      case 'remove':
        return rmSync(file);
      case 'rename':
        return renameSync(file, fresh);
      case 'hardLink':
        return linkSync(file, fresh);
      case 'mode':
        return chmodSync(file, random.below(0o1000) | 0o600);
      case 'time':
        return utimesSync(file, random.below(2 ** 31), random.below(2 ** 31) + 0.25);
    }
  }

  #content(): Buffer {
    const random = this.#random;
    const size = random.weighted({ '0': 2, '40': 6, '4096': 6, '70000': 6, '3000000': 1 });
    const length = random.between(Number(size) >> 1, Number(size));
    return random.chance(0.5) ? random.bytes(length) : random.text(length);
  }

  #list(wanted: (entry: Dirent) => boolean): string[] {
    // Not readdirSync's own recursion: that follows links.
    const found: string[] = [];
    const visit = (folder: string): void => {
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        const path = join(folder, entry.name);
        if (wanted(entry)) found.push(path);
        if (entry.isDirectory()) visit(path);
      }
    };
    visit(this.path);
    return found.sort();
  }
}
