// Makes a repository with many small index blobs, as thousands of short runs without maintenance leave one, to time how it is
// opened: `node test/bench/micro/many-indexes.ts FOLDER [INDEXES] [CONTENTS]`, password `bench`. The packs are made up; nothing
// but indexes can be read. Then, with any client: `repository status`, `snapshot list`, or `lookups` here.
import { mkdirSync } from 'node:fs';
import { systemClock } from '../../../base/clock.ts';
import { toHex } from '../../../base/hex.ts';
import { systemRandom } from '../../../base/random.ts';
import { openFilesystemStorage } from '../../../repo-format/blob/filesystem.ts';
import { contentKey, type ContentId } from '../../../repo-format/index/content-id.ts';
import { Repository } from '../../../repo-format/repository.ts';
import { makeManyIndexes } from '../many-indexes.ts';

const PASSWORD = 'bench';
const signal = new AbortController().signal;

async function make(path: string, indexes: number, contents: number): Promise<void> {
  mkdirSync(path, { recursive: true });
  const storage = await openFilesystemStorage({ path, create: 'current' }, { random: systemRandom });
  await makeManyIndexes(storage, { password: PASSWORD, indexes, contents });
}

/** What a backup asks: for contents that are there, and for new ones. */
async function timeLookups(path: string, count: number): Promise<void> {
  const startedMs = systemClock.monotonicMs();
  const storage = await openFilesystemStorage({ path, readOnly: true }, { random: systemRandom });
  const options = { storage, password: PASSWORD, readOnly: true };
  await using repository = await Repository.open(options, { clock: systemClock, random: systemRandom }, signal);
  const { indexSet } = repository.contents;
  const openedMs = systemClock.monotonicMs();
  const known: Uint8Array[] = [];
  for (const { parsed } of indexSet.indexes)
    for (let entry = 0; entry < parsed.entryCount; entry += 10) known.push(parsed.keyAt(entry));
  const fresh = Array.from({ length: 1000 }, () => contentKey(toHex(systemRandom.bytes(16)) as ContentId));
  console.log(`opened ${indexSet.rowCount} contents in ${Math.round(openedMs - startedMs)} ms`);
  for (const [what, keys] of [
    ['new', fresh],
    ['known', known],
    ['new again', fresh],
  ] as const) {
    const beganMs = systemClock.monotonicMs();
    let found = 0;
    for (let n = 0; n < count; n++) found += indexSet.state(keys[(n * 7919) % keys.length] ?? new Uint8Array(17));
    const microseconds = ((systemClock.monotonicMs() - beganMs) * 1000) / count;
    console.log(`${what}: ${microseconds.toFixed(2)} µs a lookup, ${found} of ${count} found`);
  }
  console.log(`${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB resident`);
}

const [path = '', first = '5000', second = '1000000'] = process.argv.slice(2);
if (first === 'lookups') await timeLookups(path, 100_000);
else await make(path, Number(first), Number(second));
