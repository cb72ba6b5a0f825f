// Somebody else decides what is in the bucket, some of them with the password (Velero's default one is known to all): odd names,
// blobs of any length, and indexes, directories and manifests that are sealed as they should be and mean nonsense. Reading and
// restoring either work or fail with one of our errors, memory stays bounded, and nothing is written outside the target.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { systemClock, type Clock } from '../../base/clock.ts';
import { WindlassError } from '../../base/errors.ts';
import type { BlobId } from '../../repo-format/index.ts';
import { createContentCipher } from '../../repo-format/crypto/content-cipher.ts';
import { openBlob, sealBlob } from '../../repo-format/epoch/encrypted-blob.ts';
import { cipherSpecOf } from '../../repo-format/format/repository-config.ts';
import { createKeyedHash } from '../../repo-format/hash/keyed-hash.ts';
import { Engine } from '../harness/engine.ts';
import { memoryFolder } from '../harness/scratch.ts';
import { SeededRandom } from '../harness/seeded-random.ts';
import { readWhole } from './read-whole.ts';
import { makeSmallTree } from './small-tree.ts';

const IMPATIENT_CLOCK: Clock = { ...systemClock, sleep: async () => undefined };
const MAX_GROWTH_BYTES = 400 << 20;

async function makeEngine(t: TestContext): Promise<{ engine: Engine; folder: string }> {
  const folder = memoryFolder(t, 'hostile');
  const engine = new Engine({ folder, signal: t.signal, clock: IMPATIENT_CLOCK });
  await engine.create();
  makeSmallTree(join(folder, 'tree'), new SeededRandom(5));
  await engine.backUp(join(folder, 'tree'));
  return { engine, folder };
}

/** True when it worked. Anything but one of our errors fails the test. */
async function tryTo(what: string, work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    assert.ok(
      error instanceof WindlassError,
      `${what}: ${error instanceof Error ? (error.stack ?? '') : String(error)}`,
    );
    return false;
  }
}

const readAll = (engine: Engine, signal: AbortSignal): Promise<unknown> =>
  engine.use((repository) => readWhole(repository, signal));

test('blobs of any name and length', async (t) => {
  const { engine } = await makeEngine(t);
  const planted: readonly [string, number][] = [
    ['kopia.repository', 2 ** 40],
    ['kopia.blobcfg', 2 ** 40],
    ['kopia.blobcfg.note', 2 ** 40],
    ['xe999999999999999', 1],
    ['xe99999999999999999999', 1],
    ['xe-1', 1],
    ['xw99999999999999999999', 1],
    [`xn0_${'0'.repeat(32)}-s0123456789abcdef-c1`, 2 ** 40],
    [`xn0_${'0'.repeat(32)}-s0123456789abcdef-c999999999999`, 0],
    ['xn0_', 1],
    ['xn1_..', 40],
    [`xs0_${'z'.repeat(32)}-s0123456789abcdef-c1`, 1],
    [`xr0_999999999_${'0'.repeat(32)}-s0123456789abcdef-c1`, 50],
    [`xr5_1_${'0'.repeat(32)}`, 50],
    ['_log_', 2 ** 40],
    ['m0000', 2 ** 40],
    [`q${'0'.repeat(32)}-s0123456789abcdef`, 2 ** 40],
  ];
  const startBytes = process.memoryUsage.rss();
  for (const [name, length] of planted) {
    const path = join(engine.repositoryPath, `${name}.f`);
    const before = name.startsWith('kopia.') && name !== 'kopia.blobcfg.note' ? readFileSync(path) : undefined;
    // Misplaced or not, the name is what counts: long names belong into folders.
    const placed =
      name.length > 20 ? join(engine.repositoryPath, name.slice(0, 1), name.slice(1, 4), `${name.slice(4)}.f`) : path;
    mkdirSync(dirname(placed), { recursive: true });
    writeFileSync(placed, '');
    truncateSync(placed, length);
    await tryTo(name, () => readAll(engine, t.signal));
    await tryTo(`${name}, backup`, () => engine.verify());
    if (before === undefined) rmSync(placed);
    else writeFileSync(placed, before);
  }
  const grownBytes = process.memoryUsage.rss() - startBytes;
  assert.ok(grownBytes < MAX_GROWTH_BYTES, `${grownBytes} bytes more`);
  assert.ok(await tryTo('nothing planted', () => readAll(engine, t.signal)));
});

test('an index that is sealed properly and says anything', async (t) => {
  const { engine } = await makeEngine(t);
  const random = new SeededRandom(8);
  const config = await engine.use(async ({ format }) => format.config);
  const deps = { cipher: createContentCipher(cipherSpecOf(config)), hash: createKeyedHash(config.hash, config.secret) };
  const names = readdirSync(engine.repositoryPath, { recursive: true, encoding: 'utf8' });
  const file = names.find((name) => name.startsWith('x/n0_') && name.endsWith('.f')) ?? '';
  const path = join(engine.repositoryPath, file);
  const original = readFileSync(path);
  const id = file.replaceAll('/', '').replace(/\.f$/, '') as BlobId;
  const plain = openBlob(deps.cipher, id, original);
  rmSync(path);
  const startBytes = process.memoryUsage.rss();
  let failures = 0;
  for (let round = 0; round < 300; round++) {
    const mutated = mutate(plain, random, round % 3 === 0 ? 17 : plain.length);
    const sealed = sealBlob(deps, 'xn0_', id.slice(id.indexOf('-') + 1), mutated);
    const placed = join(engine.repositoryPath, 'x', 'n0_', `${sealed.id.slice(4)}.f`);
    writeFileSync(placed, sealed.bytes);
    if (!(await tryTo(`round ${round}`, () => readAll(engine, t.signal)))) failures++;
    rmSync(placed);
  }
  t.diagnostic(`${failures} of 300 failed`);
  assert.ok(failures > 50);
  const grownBytes = process.memoryUsage.rss() - startBytes;
  assert.ok(grownBytes < MAX_GROWTH_BYTES, `${grownBytes} bytes more`);
});

test('directories that are sealed properly and say anything restore inside of the target, or not at all', async (t) => {
  const { engine, folder } = await makeEngine(t);
  const random = new SeededRandom(9);
  const [manifest] = await engine.list();
  const rootEntry = manifest?.rootEntry ?? undefined;
  assert.ok(manifest !== undefined && rootEntry !== undefined);
  const outside = join(folder, 'restores');
  mkdirSync(outside);
  const plain = await engine.use((repository) => repository.readContent(rootEntry.objectId as never, t.signal));
  const text = Buffer.from(plain).toString();
  const names = ['..', '.', '', '../../evil', '/tmp/evil', 'a/b', 'a\\u0000b', '\\ud800', 'n'.repeat(5000)];
  const nonsense = [
    ...names.map((name) => Buffer.from(text.replace(/"name":"[^"]*"/, `"name":"${name}"`))),
    ...Array.from({ length: 40 }, () => Buffer.from(mutate(plain, random, plain.length))),
    Buffer.from('{"stream":"kopia:directory","entries":null,"summary":null}'),
    Buffer.from('['.repeat(100_000)),
    Buffer.from(text.replaceAll(/"obj":"[^"]*"/g, `"obj":"${rootEntry.objectId}"`)),
    Buffer.from(text.replaceAll(/"size":\d+/g, '"size":9007199254740993')),
  ];
  for (const [number, bytes] of nonsense.entries()) {
    const objectId = await engine.use(async (repository) => {
      const id = await repository.writeContent('k', bytes, 'none', t.signal);
      await repository.flush(t.signal);
      return id;
    });
    const hostile = { ...manifest, rootEntry: { ...rootEntry, objectId } };
    const target = join(outside, 'target');
    await tryTo(`directory ${number}`, () => engine.restore(hostile as typeof manifest, target));
    assert.deepEqual(
      readdirSync(outside).filter((name) => name !== 'target' && !name.startsWith('.')),
      [],
      `directory ${number}`,
    );
    rmSync(target, { recursive: true, force: true });
  }
  assert.deepEqual(readdirSync(folder).sort(), ['cache', 'repository', 'restores', 'tree']);
});

/** A few bytes of the first `limit` are changed, sometimes to extremes; sometimes it is cut or doubled. */
function mutate(bytes: Uint8Array, random: SeededRandom, limit: number): Uint8Array {
  const kind = random.below(10);
  if (kind === 0) return bytes.slice(0, random.below(bytes.length));
  if (kind === 1) return Buffer.concat([bytes, bytes]);
  const mutated = bytes.slice();
  for (let n = 0; n <= random.below(4); n++) {
    mutated[random.below(limit)] = [0, 255, 127, random.below(256)][random.below(4)] ?? 0;
  }
  return mutated;
}
