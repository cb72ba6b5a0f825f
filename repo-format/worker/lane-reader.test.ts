import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { test, type TestContext } from 'node:test';
import { type ContentRepository, createContentRepository } from '../../test/harness/content-repository.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import type { BlobId, LocalBlobFiles } from '../blob/storage.ts';
import { contentKey, type ContentId } from '../index/content-id.ts';
import { LaneReader } from './lane-reader.ts';

interface Fixture {
  readonly repository: ContentRepository;
  readonly files: LocalBlobFiles;
  readonly reader: LaneReader;
  readonly contents: ReadonlyMap<ContentId, Buffer>;
}

/** A dozen packs of one content each. */
async function createFixture(t: TestContext): Promise<Fixture> {
  const repository = await createContentRepository(t, { kind: 'filesystem', packBytes: 10 });
  const manager = await repository.open();
  const random = new SeededRandom(3);
  const contents = new Map<ContentId, Buffer>();
  for (let n = 0; n < 12; n++) {
    const bytes = random.text(100 + n);
    contents.set(await manager.write('', bytes, n % 2 === 0 ? 'none' : 'zstd', t.signal), bytes);
  }
  await manager.flush(t.signal);
  const files = repository.storage.localFiles;
  assert.ok(files !== undefined);
  const data = { cipher: repository.spec.cipher, index: manager.indexSet.transferable(), layout: files.layout };
  const reader = new LaneReader(structuredClone(data));
  t.after(() => reader.close());
  return { repository, files, reader, contents };
}

function openDescriptors(below: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(below);
    } catch {
      return false; // the one this listing itself had open
    }
  }).length;
}

test('reads every content, with few packs open at a time', async (t) => {
  const { reader, contents } = await createFixture(t);
  for (let round = 0; round < 2; round++) {
    for (const [id, bytes] of contents) assert.deepEqual(Buffer.from(reader.readContent(id)), bytes);
  }
  reader.close();
  for (const [id, bytes] of contents) assert.deepEqual(Buffer.from(reader.readContent(id)), bytes, 'after close, too');
});

test('what was read stays as it is when more is read', async (t) => {
  const { reader, contents } = await createFixture(t);
  const all = [...contents].map(([id, bytes]) => ({ bytes, read: reader.readContent(id) }));
  for (const { bytes, read } of all) assert.deepEqual(Buffer.from(read), bytes);
});

test('packs are read in place and bounds are held', async (t) => {
  const { reader, contents } = await createFixture(t);
  const [id] = contents.keys();
  assert.ok(id !== undefined);
  const entry = reader.find(contentKey(id));
  assert.ok(entry !== undefined);
  const into = new Uint8Array(entry.packedLength);
  reader.readPack(entry.packId, entry.packOffset, entry.packedLength, into);
  assert.deepEqual(Buffer.from(reader.openContent(entry, into)), contents.get(id));
  for (const [offset, length] of [
    [1 << 20, 1],
    [entry.packOffset, 1 << 20],
    [-1, 1],
  ] as const) {
    assert.throws(() => reader.readPack(entry.packId, offset, length, new Uint8Array(1 << 20)), {
      code: 'BLOB_INVALID_RANGE',
    });
  }
  assert.throws(() => reader.readPack('p00000000000000000000000000-s0' as BlobId, 0, 1, into), {
    code: 'BLOB_NOT_FOUND',
  });
});

test('an unknown content is not found', async (t) => {
  const { reader } = await createFixture(t);
  assert.throws(() => reader.readContent('00112233445566778899aabbccddeeff' as ContentId), {
    code: 'CONTENT_NOT_FOUND',
    retry: 'after-refresh',
  });
});

test('what is damaged, cut short, gone or something else names pack, offset and length', async (t) => {
  const { reader, files, contents } = await createFixture(t);
  const damages: [string, (path: string) => void][] = [
    ['CONTENT_LOST', (path) => rmSync(path)],
    ['CONTENT_LOST', (path) => truncateSync(path, 40)],
    ['CONTENT_CORRUPT', (path) => writeFileSync(path, new Uint8Array(9000))],
    ['CONTENT_LOST', (path) => (rmSync(path), mkdirSync(path))],
    ['CONTENT_LOST', (path) => (rmSync(path), execFileSync('mkfifo', [path]))],
    ['BLOB_ACCESS_DENIED', (path) => (renameSync(path, `${path}.away`), symlinkSync(`${path}.away`, path))],
  ];
  const ids = contents.keys();
  for (const [code, damage] of damages) {
    const id = ids.next().value;
    const entry = id === undefined ? undefined : reader.find(contentKey(id));
    assert.ok(id !== undefined && entry !== undefined);
    damage(files.pathOf(entry.packId));
    const { packId, packOffset: offset, packedLength: length } = entry;
    const context = code.startsWith('CONTENT') ? { context: { contentId: id, packId, offset, length } } : {};
    assert.throws(() => reader.readContent(id), { code, ...context });
  }
});

test('no descriptor stays behind', { skip: process.platform !== 'linux' }, async (t) => {
  const { reader, files, contents } = await createFixture(t);
  for (const id of contents.keys()) reader.readContent(id);
  const { rootPath } = files.layout;
  assert.ok(openDescriptors(rootPath) <= 8);
  reader.close();
  assert.equal(openDescriptors(rootPath), 0);
});
