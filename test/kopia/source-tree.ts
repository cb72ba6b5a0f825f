// Trees for the two-way tests: a plain one, whose every property kopia's own entries can hold, and changes to it.
import {
  appendFileSync,
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { SeededRandom } from '../harness/seeded-random.ts';

const MIB = 1 << 20;
/** Long enough for several chunks of any splitter up to 1M, and for one cut of the others. */
const LARGE_BYTES = 9 * MIB;

/** Plain files, folders and links; sizes around what splitters, packs and compressors treat differently. */
export function makePlainTree(path: string, seed: number, largeBytes = LARGE_BYTES): void {
  const random = new SeededRandom(seed);
  mkdirSync(join(path, 'dir/nested/deep'), { recursive: true });
  mkdirSync(join(path, 'void'));
  mkdirSync(join(path, 'many'));
  writeFileSync(join(path, 'empty'), '');
  writeFileSync(join(path, 'one'), 'x');
  writeFileSync(join(path, 'noise.bin'), random.bytes(40_000));
  writeFileSync(join(path, 'large.bin'), random.bytes(largeBytes));
  writeFileSync(join(path, 'book.txt'), random.text(3 * MIB));
  writeFileSync(join(path, 'zeros'), Buffer.alloc(5 * MIB));
  writeFileSync(join(path, 'dir/été-東京 <&>.txt'), 'names are text\n');
  writeFileSync(join(path, 'dir/quote"back\\slash\ttab'), 'and odd text\n');
  writeFileSync(join(path, 'dir/nested/deep/setuid'), '#!/bin/sh\n');
  writeFileSync(join(path, 'old'), 'old\n');
  for (let n = 0; n < 40; n++)
    writeFileSync(join(path, 'many', `${n}`.padStart(2, '0')), random.text(random.below(2000)));
  symlinkSync('../book.txt', join(path, 'dir/link'));
  symlinkSync('nowhere/at all', join(path, 'broken-link'));
  chmodSync(join(path, 'dir/nested/deep/setuid'), 0o4755);
  chmodSync(join(path, 'old'), 0o400);
  chmodSync(join(path, 'void'), 0o1777);
  if (process.getuid?.() === 0) chownSync(join(path, 'noise.bin'), 1234, 5678);
  utimesSync(join(path, 'old'), -86_400, -86_400);
  utimesSync(join(path, 'dir/nested'), 1_234_567_890, 1_234_567_890);
}

/** A little of everything happens to the tree. */
export function changePlainTree(path: string, seed: number): void {
  const random = new SeededRandom(seed);
  appendFileSync(join(path, 'book.txt'), random.text(1000));
  writeFileSync(join(path, 'dir', `new-${seed}`), random.bytes(300_000));
  writeFileSync(join(path, 'many', `${random.below(40)}`.padStart(2, '0')), random.text(700));
  rmSync(join(path, 'many', `${random.below(40)}`.padStart(2, '0')), { force: true });
  chmodSync(join(path, 'one'), 0o600 + random.below(0o100));
  linkSync(join(path, 'noise.bin'), join(path, `link-${seed}`));
  rmSync(join(path, `link-${seed}`));
}
