// Full maintenance of an aged repository: eight snapshots of a tree that changed between them, four of them deleted, in a
// bucket that is copied as a folder for each run, so that every run of both tools finds the same objects.
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { removeTree } from '../../harness/scratch.ts';
import { SeededRandom } from '../../harness/seeded-random.ts';
import { must } from '../tools.ts';
import { makeSmallTree } from '../trees.ts';
import { timePhase, wayOf, type Bench, type Cycle } from './phases.ts';
import { emptyFolder } from './store.ts';
import { openStoreTool, type StoreToolName } from './tools.ts';

const BUCKET = 'aged';
const SNAPSHOTS = 8;
const SMALL_FILES = 8000;
const MEDIUM_FILES = 48;
const MEDIUM_BYTES = 2 << 20;
/** From one snapshot to the next: 10 MiB in all, so that each leaves a pack which is worth to be merged with others. */
const SMALL_CHANGED = 150;
const MEDIUM_CHANGED = 4;

export interface AgedRepository {
  readonly name: string;
  readonly files: number;
  readonly bytes: number;
}

/** Made by `maker`, in its own way; both tools are then measured on copies. */
export async function makeAged(bench: Bench, maker: StoreToolName, scale: number): Promise<AgedRepository> {
  const folder = emptyFolder(join(bench.scratch, 'aging'));
  const place = await bench.store.makePlace(BUCKET, 'direct');
  const tool = openStoreTool(maker, { folder: join(folder, 'tool'), place, windlass: bench.windlass });
  const count = Math.max(800, Math.round((SMALL_FILES * scale) / 400) * 400);
  const tree = makeSmallTree(join(folder, 'tree'), count, count / 400);
  const random = new SeededRandom(5);
  const medium = Array.from({ length: Math.ceil(MEDIUM_FILES * scale) }, (_, n) => join(tree.path, `medium-${n}.bin`));
  for (const path of medium) writeFileSync(path, random.bytes(MEDIUM_BYTES));
  await tool.create();
  const doomed: string[] = [];
  for (let n = 0; n < SNAPSHOTS; n++) {
    if (n > 0) changeTree(tree.path, count, medium, n);
    const id = tool.noteBackup(await must(tool.backup(tree.path)));
    // Half of them, the newest not among them.
    if (n % 2 === 0) doomed.push(id);
  }
  await must(tool.deleteSnapshots(doomed));
  removeTree(folder);
  return { name: BUCKET, files: tree.files + medium.length, bytes: tree.bytes + medium.length * MEDIUM_BYTES };
}

function changeTree(path: string, count: number, medium: readonly string[], generation: number): void {
  const random = new SeededRandom(100 + generation);
  for (let n = 0; n < SMALL_CHANGED; n++) {
    const file = random.below(count);
    const [folder, name] = [Math.floor(file / 400), file % 400];
    const target = join(path, `folder-${String(folder).padStart(4, '0')}`, `file-${String(name).padStart(4, '0')}.txt`);
    const fd = openSync(target, 'r+');
    writeSync(fd, random.bytes(64), 0, 64, 0);
    closeSync(fd);
  }
  for (let n = 0; n < MEDIUM_CHANGED; n++) writeFileSync(random.pick(medium), random.bytes(MEDIUM_BYTES));
}

/** As in a pod that was just started: connected, nothing in the cache. */
export async function runMaintenanceCycle(bench: Bench, cycle: Cycle): Promise<void> {
  const { store } = bench;
  const bucket = `${cycle.tool}-${BUCKET}`;
  const folder = emptyFolder(join(bench.scratch, bucket));
  copyBucket(store.folderOf(BUCKET), store.folderOf(bucket));
  const place = await store.placeAt(bucket, wayOf(cycle));
  const tool = openStoreTool(cycle.tool, { folder, place, windlass: bench.windlass });
  await tool.connect();
  await tool.own();
  tool.dropCache();
  await timePhase(bench, { ...cycle, bucket }, 'maintain', tool.maintain());
  removeTree(folder);
  store.removeBucket(bucket);
}

/** With the extended attributes, which hold what the server knows of an object. */
function copyBucket(from: string, to: string): void {
  const { status } = spawnSync('cp', ['-a', from, to], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`cp -a ${from} ended with ${status}`);
}
