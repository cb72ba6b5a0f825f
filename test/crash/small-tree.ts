// A tree small enough for hundreds of backups, that still makes every kind of blob, and a change for each round.
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { SeededRandom } from '../harness/seeded-random.ts';
import { directory, fifo, file, hardLink, symlink, tree } from '../harness/tree.ts';

export function makeSmallTree(path: string, random: SeededRandom): void {
  tree({
    'a/one': file(random.bytes(20_000)),
    'a/two': file(random.text(5000), { mode: 0o640 }),
    'a/again': hardLink('a/one'),
    'b/empty': file(),
    'b/link': symlink('../a/one'),
    'b/pipe': fifo(),
    void: directory({ mode: 0o700 }),
  }).build(path);
}

export function changeSmallTree(path: string, random: SeededRandom, round: number): void {
  appendFileSync(join(path, 'a/two'), random.text(300));
  mkdirSync(join(path, 'rounds'), { recursive: true });
  writeFileSync(join(path, 'rounds', `${round % 20}`), random.bytes(random.between(1, 30_000)));
}
