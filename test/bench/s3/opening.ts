// Opening a repository with very many index blobs, and listing its snapshots (there are none): with an empty cache, then with
// what that left in the cache.
import { join } from 'node:path';

import { systemClock } from '../../../base/clock.ts';
import { openS3Storage } from '../../../repo-format/blob/s3.ts';
import { removeTree } from '../../harness/scratch.ts';
import { makeManyIndexes } from '../many-indexes.ts';
import { PASSWORD } from '../tools.ts';
import { timePhase, wayOf, type Bench, type Cycle } from './phases.ts';
import { emptyFolder } from './store.ts';
import { openStoreTool } from './tools.ts';

const BUCKET = 'many-indexes';
const INDEXES = 5000;
const CONTENTS = 1_000_000;

/** Answers what the records are kept under; contents count as its files. */
export async function makeIndexed(bench: Bench, scale: number): Promise<Cycle['tree']> {
  const { server } = bench.store;
  await server.createBucket(BUCKET);
  const storage = await openS3Storage(server.optionsFor(BUCKET), { clock: systemClock }, new AbortController().signal);
  const [indexes, contents] = [INDEXES, CONTENTS].map((count) => Math.ceil(count * scale));
  await makeManyIndexes(storage, { password: PASSWORD, indexes: indexes ?? 0, contents: contents ?? 0 });
  await storage.close();
  return { name: BUCKET, files: contents ?? 0, bytes: 0 };
}

export async function runOpeningCycle(bench: Bench, cycle: Cycle): Promise<void> {
  const folder = emptyFolder(join(bench.scratch, `${cycle.tool}-${BUCKET}`));
  const place = await bench.store.placeAt(BUCKET, wayOf(cycle));
  const tool = openStoreTool(cycle.tool, { folder, place, windlass: bench.windlass });
  const measured = { ...cycle, bucket: BUCKET };
  await tool.connect();
  tool.dropCache();
  await timePhase(bench, measured, 'open-cold', tool.list());
  tool.ageCache();
  if (bench.phases.has('open')) await timePhase(bench, measured, 'open', tool.list());
  removeTree(folder);
}
