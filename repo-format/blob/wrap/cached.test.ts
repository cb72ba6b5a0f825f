// The cache as its users see it: fewer requests, the same bytes, whatever lies in its folder.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  globSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { silentLogger } from '../../../base/logger.ts';
import { systemRandom } from '../../../base/random.ts';
import { blobStorageSuite } from '../../../test/harness/blob-storage-suite.ts';
import { createFaultyStorage, type FaultyStorage } from '../../../test/harness/faulty-storage.ts';
import { memoryFolder } from '../../../test/harness/scratch.ts';
import { createTestClock, type TestClock } from '../../../test/harness/test-clock.ts';
import { createMemoryStorage } from '../memory.ts';
import type { BlobId, BlobStorage } from '../storage.ts';
import { CacheFolder } from './cache-folder.ts';
import { CachedStorage } from './cached.ts';

const INDEX = 'xn0_00112233445566778899aabbccddeeff-s0011223344556677-c1' as BlobId;
const HASH = '00112233445566778899aabbccddeeff-s0011223344556677';
const KEY = new Uint8Array(16).fill(5);

interface Fixture {
  readonly clock: TestClock;
  readonly folder: string;
  readonly store: BlobStorage;
  readonly counted: FaultyStorage;
  /** Another run on the same folder. */
  open(limitBytes?: number, key?: Uint8Array): CachedStorage;
}

function createFixture(t: TestContext): Fixture {
  const clock = createTestClock();
  const folder = join(memoryFolder(t, 'cache'), 'blobs');
  const store = createMemoryStorage({ clock });
  const counted = createFaultyStorage(t, store);
  return {
    clock,
    folder,
    store,
    counted,
    open(limitBytes = 1 << 30, key = KEY) {
      const deps = { clock, random: systemRandom, logger: silentLogger };
      const cache = CacheFolder.open({ path: folder, limitBytes, key }, deps);
      assert.ok(cache !== undefined);
      return new CachedStorage(counted.storage, cache);
    },
  };
}

function files(folder: string): string[] {
  return globSync('**/*', { cwd: folder, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

const bytes = (length: number, seed = 1): Uint8Array => Uint8Array.from({ length }, (_, at) => (at * seed) & 255);

blobStorageSuite('cached', async (t) => createFixture(t).open());

test('index blobs that this machine wrote or read are not asked for again', async (t) => {
  const { open, counted, store } = createFixture(t);
  const other = INDEX.replace('xn0', 'xs0') as BlobId;
  await open().putBlob(INDEX, bytes(100), t.signal);
  await store.putBlob(other, bytes(50), t.signal);
  for (let run = 0; run < 2; run++) {
    const cached = open();
    assert.deepEqual(await cached.getBlob(INDEX, undefined, t.signal), bytes(100));
    assert.deepEqual(await cached.getBlob(other, undefined, t.signal), bytes(50));
  }
  assert.equal(counted.calls.getBlob, 1);
  await open().deleteBlob(INDEX, t.signal);
  await assert.rejects(open().getBlob(INDEX, undefined, t.signal), { code: 'BLOB_NOT_FOUND' });
});

test('nothing else is kept: format blobs, markers, sessions, data packs, listings', async (t) => {
  const { open, folder } = createFixture(t);
  const cached = open();
  for (const name of ['kopia.repository', 'kopia.blobcfg', 'xe1', 'xw17', 's0011-s0011', `p${HASH}`, `q${HASH}`]) {
    await cached.putBlob(name as BlobId, bytes(9), t.signal);
    await cached.getBlob(name as BlobId, undefined, t.signal);
    await cached.getBlob(name as BlobId, { offset: 1, length: 2 }, t.signal);
  }
  assert.deepEqual(files(folder), []);
});

test('whatever lies in the place of a cache file, the right bytes come from the store and heal it', async (t) => {
  const other = INDEX.replace('xn0', 'xn1') as BlobId;
  const hostile: readonly [string, (path: string) => void][] = [
    ['cut off', (path) => truncateSync(path, 50)],
    ['empty', (path) => truncateSync(path, 0)],
    ['zeros', (path) => writeFileSync(path, new Uint8Array(132))],
    ['another bit', (path) => writeFileSync(path, flipped(readFileSync(path), 3))],
    ['another tag', (path) => writeFileSync(path, flipped(readFileSync(path), 131))],
    ['another blob', (path) => writeFileSync(path, readFileSync(path.replace('n0_', 'n1_')))],
    ['longer', (path) => writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(7)]))],
    ['huge', (path) => truncateSync(path, 2 ** 40)],
    ['a FIFO', (path) => (rmSync(path), execFileSync('mkfifo', [path]))],
    ['a link', (path) => (rmSync(path), symlinkSync('/etc/passwd', path))],
    ['a folder', (path) => (rmSync(path), mkdirSync(join(path, 'x'), { recursive: true }))],
    ['unreadable', (path) => chmodSync(path, 0)],
  ];
  for (const [what, plant] of hostile) {
    const { open, counted, folder, clock } = createFixture(t);
    const writer = open();
    await writer.putBlob(INDEX, bytes(100), t.signal);
    await writer.putBlob(other, bytes(100, 3), t.signal);
    const path = files(folder).find((file) => file.includes('n0_')) ?? '';
    plant(path);
    clock.advance(1);
    assert.deepEqual(await open().getBlob(INDEX, undefined, t.signal), bytes(100), what);
    assert.equal(counted.calls.getBlob, what === 'unreadable' && process.getuid?.() === 0 ? 0 : 1, what);
    assert.deepEqual(await open().getBlob(INDEX, undefined, t.signal), bytes(100), what);
    assert.ok(counted.calls.getBlob <= 1, `${what}: healed`);
  }
});

test('files of another key, as of a repository of the same name, are none', async (t) => {
  const { open, counted } = createFixture(t);
  await open().putBlob(INDEX, bytes(100), t.signal);
  await open(1 << 30, new Uint8Array(16)).getBlob(INDEX, undefined, t.signal);
  assert.equal(counted.calls.getBlob, 1);
});

test('a copy that its reader could not open is dropped', async (t) => {
  const { open, store, counted } = createFixture(t);
  await store.putBlob(INDEX, bytes(50), t.signal);
  const cached = open();
  assert.equal(cached.dropCached(INDEX), false);
  await cached.getBlob(INDEX, undefined, t.signal);
  assert.equal(cached.dropCached(INDEX), true);
  await cached.getBlob(INDEX, undefined, t.signal);
  assert.equal(counted.calls.getBlob, 2);
});

test('only this user can look in; a folder of somebody else, or no folder, is not used', async (t) => {
  const { open, folder } = createFixture(t);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  await open().putBlob(INDEX, bytes(100), t.signal);
  assert.equal(lstatSync(folder).mode & 0o777, 0o700);
  for (const path of readdirSync(folder)) assert.equal(lstatSync(join(folder, path)).mode & 0o777, 0o700);
  for (const path of files(folder)) assert.equal(lstatSync(path).mode & 0o777, 0o600);
  const elsewhere = memoryFolder(t, 'elsewhere');
  const deps = { clock: createTestClock(), random: systemRandom, logger: silentLogger };
  symlinkSync(elsewhere, join(elsewhere, 'link'));
  writeFileSync(join(elsewhere, 'file'), '');
  for (const path of [join(elsewhere, 'link'), join(elsewhere, 'file'), join(elsewhere, 'file', 'x')]) {
    assert.equal(CacheFolder.open({ path, limitBytes: 1, key: KEY }, deps), undefined, path);
  }
});

test('a disk that cannot be written to costs the cache, not the work', async (t) => {
  const { open, folder } = createFixture(t);
  const cached = open();
  writeFileSync(join(folder, 'x'), ''); // where folders of index blobs would be
  for (let n = 0; n < 5; n++) {
    const id = INDEX.replace('xn0', `xn${n}`) as BlobId;
    await cached.putBlob(id, bytes(100), t.signal);
    assert.deepEqual(await cached.getBlob(id, undefined, t.signal), bytes(100));
  }
  await cached.close();
});

test('the least recently used go when there is too much, the young stay, leftovers go', async (t) => {
  const { open, folder, clock } = createFixture(t);
  const ids = Array.from({ length: 40 }, (_, n) => INDEX.replace('xn0', `xn${n + 10}`) as BlobId);
  const sum = (): number => files(folder).reduce((total, path) => total + lstatSync(path).size, 0);
  const [used = INDEX] = ids;
  const first = open(20_000);
  for (const id of ids.slice(0, 30)) {
    await first.putBlob(id, bytes(1000), t.signal);
    clock.advance(1000);
  }
  await first.close();
  assert.ok(sum() > 30_000, 'nothing is older than ten minutes');
  clock.advance(3600_000);
  const old = join(folder, 'x', 'abc.f.tmp.0011223344556677');
  writeFileSync(old, 'left by a process that was killed');
  utimesSync(old, clock.nowMs() / 1000 - 7200, clock.nowMs() / 1000 - 7200);
  const current = join(folder, 'x', 'abd.f.tmp.0011223344556677');
  writeFileSync(current, 'being written');
  utimesSync(current, clock.nowMs() / 1000, clock.nowMs() / 1000);
  const second = open(20_000);
  await second.getBlob(used, undefined, t.signal);
  for (const id of ids.slice(30)) await second.putBlob(id, bytes(1000), t.signal);
  await second.close();
  assert.ok(sum() <= 20_000, `${sum()} bytes`);
  const left = files(folder).map((path) => path.slice(folder.length).replaceAll('/', ''));
  assert.ok(
    left.some((path) => path.includes(used.slice(1, 5))),
    'used a moment ago',
  );
  for (const id of ids.slice(30))
    assert.ok(
      left.some((path) => path.includes(id.slice(1, 5))),
      id,
    );
  assert.ok(!left.some((path) => path.includes('abc.f.tmp')));
  assert.ok(left.some((path) => path.includes('abd.f.tmp')));
});

test('processes share the folder, and one that is killed takes nothing with it', async (t) => {
  const { open, folder, store } = createFixture(t);
  const module = new URL('cache-folder.ts', import.meta.url).href;
  const program = `
    const { CacheFolder } = await import(${JSON.stringify(module)});
    const { randomBytes } = await import('node:crypto');
    const log = () => undefined;
    const deps = { clock: { nowMs: Date.now }, random: { bytes: randomBytes }, logger: { debug: log, warn: log } };
    const options = { path: ${JSON.stringify(folder)}, limitBytes: 1e9, key: new Uint8Array(16).fill(5) };
    const cache = CacheFolder.open(options, deps);
    for (let round = 0; ; round++) {
      const id = '${INDEX}'.replace('xn0', 'xn' + (round % 20));
      const bytes = new Uint8Array(20_000).fill(round % 20);
      cache.write(id, bytes);
      const read = cache.read(id);
      if (read !== undefined && Buffer.compare(read, bytes) !== 0) process.exit(7);
      if (round === 20) process.stdout.write('.');
      if (round % 20 === 0) await new Promise(setImmediate);
    }`;
  const children = [1, 2].map(() =>
    spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  for (const child of children) await once(child.stdout, 'data');
  const exits = children.map((child) => once(child, 'exit'));
  for (const child of children) child.kill('SIGKILL');
  for (const exit of exits) assert.deepEqual(await exit, [null, 'SIGKILL']);
  for (let n = 0; n < 20; n++) {
    const id = INDEX.replace('xn0', `xn${n}`) as BlobId;
    const expected = new Uint8Array(20_000).fill(n);
    await store.putBlob(id, expected, t.signal);
    assert.deepEqual(await open().getBlob(id, undefined, t.signal), expected);
  }
});

function flipped(file: Uint8Array, at: number): Uint8Array {
  file[at] = (file[at] ?? 0) ^ 1;
  return file;
}
