// A blob of the repository is damaged: one bit flipped, cut short, emptied, gone. Reading then either gives the same data as
// before or an error that names the blob, and for packs the offset and length; never other data, never a crash.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { systemClock, type Clock } from '../../base/clock.ts';
import { WindlassError } from '../../base/errors.ts';
import { Engine } from '../harness/engine.ts';
import { memoryFolder } from '../harness/scratch.ts';
import { SeededRandom } from '../harness/seeded-random.ts';
import { readWhole } from './read-whole.ts';
import { changeSmallTree, makeSmallTree } from './small-tree.ts';

/** Flips tried in each blob. */
const FLIPS_PER_BLOB = 40;
/** Bytes that no check covers: loose text that no reader uses. */
const UNREAD = /^(\.shards|_log_)/;

/** Index blobs that are listed but cannot be found are waited for, as a store may be slow to show them: not here. */
const IMPATIENT_CLOCK: Clock = { ...systemClock, sleep: async () => undefined };

interface Fixture {
  readonly engine: Engine;
  /** Of the files that hold blobs. */
  readonly paths: readonly string[];
  readonly expected: ReadonlyMap<string, string>;
}

async function makeFixture(t: TestContext): Promise<Fixture> {
  const folder = memoryFolder(t, 'damage');
  const random = new SeededRandom(5);
  const engine = new Engine({ folder, signal: t.signal, clock: IMPATIENT_CLOCK });
  await engine.create();
  const tree = join(folder, 'tree');
  makeSmallTree(tree, random);
  for (let round = 0; round < 3; round++) {
    await engine.backUp(tree);
    changeSmallTree(tree, random, round);
  }
  const names = readdirSync(engine.repositoryPath, { recursive: true, encoding: 'utf8' });
  const paths = names.map((name) => join(engine.repositoryPath, name)).filter((path) => statSync(path).isFile());
  return { engine, paths, expected: await read(engine, t.signal) };
}

function read(engine: Engine, signal: AbortSignal): Promise<Map<string, string>> {
  return engine.use((repository) => readWhole(repository, signal));
}

/** The error of reading the damaged repository, or undefined when it read as before. */
async function readDamaged(fixture: Fixture, signal: AbortSignal, what: string): Promise<WindlassError | undefined> {
  try {
    const digests = await read(fixture.engine, signal);
    for (const [path, digest] of digests)
      assert.equal(digest, fixture.expected.get(path), `${what}: other data was read`);
    // A whole index blob that is gone takes its snapshots with it: nothing in the format tells that it was ever there.
    const mayMiss = /^x.*gone$/.test(what);
    if (!mayMiss) assert.equal(digests.size, fixture.expected.size, `${what}: something was left out`);
    return undefined;
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    assert.ok(error instanceof WindlassError, `${what}: ${String(error)} is not one of our errors`);
    return error;
  }
}

/** As a reader of the error would look for it: in the message or the context, here or in a cause. */
function names(error: WindlassError, text: string): boolean {
  if (error.message.includes(text)) return true;
  if (Object.values(error.context).some((value) => String(value).includes(text))) return true;
  return error.cause instanceof WindlassError && names(error.cause, text);
}

function blobIdOf(root: string, path: string): string {
  return path
    .slice(root.length + 1)
    .replaceAll('/', '')
    .replace(/\.f$/, '');
}

test('one flipped bit is an error that names the blob, or changes nothing', async (t) => {
  const fixture = await makeFixture(t);
  const random = new SeededRandom(6);
  const seen = new Map<string, { errors: number; same: number }>();
  for (const path of fixture.paths) {
    const id = blobIdOf(fixture.engine.repositoryPath, path);
    const bytes = readFileSync(path);
    const counts = { errors: 0, same: 0 };
    for (const offset of offsetsToFlip(bytes.length, random)) {
      const damaged = Buffer.from(bytes);
      damaged[offset] = (damaged[offset] ?? 0) ^ (1 << random.below(8));
      writeFileSync(path, damaged);
      const error = await readDamaged(fixture, t.signal, `${id} at ${offset}`);
      if (error === undefined) counts.same++;
      else {
        counts.errors++;
        assertNames(error, id, `${id} at ${offset}`);
      }
    }
    writeFileSync(path, bytes);
    seen.set(id, counts);
    const isRead = /^[pqx]|^kopia\.repository/.test(id) && !UNREAD.test(id);
    if (isRead && /^x|^kopia\.repository/.test(id)) assert.ok(counts.errors > 0, `damage to ${id} is noticed`);
  }
  for (const [id, { errors, same }] of seen) t.diagnostic(`${id}: ${errors} errors, ${same} without effect`);
  const packs = [...seen].filter(([id]) => /^[pq]/.test(id));
  assert.ok(
    packs.every(([, { errors }]) => errors > 0),
    'damage to every pack is noticed',
  );
});

function assertNames(error: WindlassError, id: string, what: string): void {
  if (/^[pqx]/.test(id))
    assert.ok(names(error, id), `${what}: the error names the blob: ${error.code} ${error.message}`);
  if (/^[pq]/.test(id)) {
    const contexts = [error, error.cause].filter((e) => e instanceof WindlassError).map((e) => e.context);
    const placed = contexts.some(
      (context) => typeof context['offset'] === 'number' && typeof context['length'] === 'number',
    );
    assert.ok(placed, `${what}: the error tells offset and length: ${error.code} ${JSON.stringify(contexts)}`);
  }
}

function offsetsToFlip(length: number, random: SeededRandom): number[] {
  return Array.from({ length: FLIPS_PER_BLOB }, () => random.below(length));
}

for (const [what, damage] of [
  ['cut in half', (path: string) => writeFileSync(path, readFileSync(path).subarray(0, statSync(path).size >> 1))],
  ['cut by one byte', (path: string) => writeFileSync(path, readFileSync(path).subarray(0, -1))],
  ['empty', (path: string) => writeFileSync(path, '')],
  ['gone', (path: string) => rmSync(path)],
  ['another blob’s bytes', (path: string, other: string) => writeFileSync(path, readFileSync(other))],
] as const) {
  test(`a blob that is ${what} is an error, or is not needed`, async (t) => {
    const fixture = await makeFixture(t);
    for (const [index, path] of fixture.paths.entries()) {
      const id = blobIdOf(fixture.engine.repositoryPath, path);
      const bytes = readFileSync(path);
      damage(path, fixture.paths[(index + 1) % fixture.paths.length] ?? path);
      const error = await readDamaged(fixture, t.signal, `${id} ${what}`);
      writeFileSync(path, bytes);
      // What is cut off the end of a pack is first of all its local index, which only recovery reads.
      if (/^[pq]/.test(id) && !what.startsWith('cut')) assert.ok(error !== undefined, `${id} ${what} is noticed`);
    }
    assert.deepEqual(await read(fixture.engine, t.signal), fixture.expected, 'the undamaged repository reads again');
  });
}
