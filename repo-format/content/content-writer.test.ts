import assert from 'node:assert/strict';
import fs, { fstatSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { systemRandom } from '../../base/random.ts';
import {
  type ContentRepository,
  type ContentRepositoryOptions,
  createContentRepository,
} from '../../test/harness/content-repository.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { compressorId } from '../compression/compressor.ts';
import { recoverFormatBlob } from '../format/format-replica.ts';
import { createKeyedHash } from '../hash/keyed-hash.ts';
import { contentIdFromHash, contentKey, type ContentId } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';
import { IndexBuilder } from '../index/index-builder.ts';
import { IndexSet, NO_WATERMARK } from '../index/index-set.ts';
import { parseIndex } from '../index/parse-index.ts';
import { openContent, verifyContentHash } from './content-codec.ts';
import { ContentWriter, type ContentWriterSpec, type StagedPack } from './content-writer.ts';
import { NewContents } from './new-contents.ts';
import { PACK_PREAMBLE_BYTES } from './pack-trailer.ts';
import type { SessionId } from './session.ts';

const SESSION = 's00112233445566771' as SessionId;

interface Bench {
  readonly repository: ContentRepository;
  readonly writer: ContentWriter;
  readonly newContents: NewContents;
  readonly full: StagedPack[];
  readonly keySize: number;
}

async function createBench(
  t: TestContext,
  options: Partial<ContentRepositoryOptions> = {},
  more: { spec?: Partial<ContentWriterSpec>; indexSet?: IndexSet; capacity?: number } = {},
): Promise<Bench> {
  const repository = await createContentRepository(t, { kind: 'filesystem', ...options });
  const keySize = 1 + createKeyedHash(repository.spec.hash, repository.spec.secret).sizeBytes;
  const newContents = NewContents.create(keySize, more.capacity ?? 1000);
  const full: StagedPack[] = [];
  const writer = new ContentWriter(
    { ...repository.spec, ...more.spec },
    { indexSet: more.indexSet ?? new IndexSet([], NO_WATERMARK), newContents },
    { random: systemRandom, clock: repository.clock, onPack: (pack) => full.push(pack) },
  );
  writer.setSession(SESSION);
  t.after(() => {
    for (const pack of [...full.splice(0), ...writer.takeOpenPacks()]) ContentWriter.discard(pack);
  });
  return { repository, writer, newContents, full, keySize };
}

/** The rows of a staged pack as index entries, in order of arrival. */
function entriesOf(pack: StagedPack, { repository, keySize }: Bench): IndexEntry[] {
  const builder = new IndexBuilder(keySize);
  builder.addRows(pack.rows, builder.addPack(pack.packId), repository.format.config.version);
  const [bytes] = builder.build({ version: 2 });
  assert.ok(bytes !== undefined);
  return [...parseIndex(bytes).iterate()].sort((a, b) => a.packOffset - b.packOffset);
}

function plainOf(entry: IndexEntry, pack: StagedPack, { repository, writer }: Bench): Uint8Array {
  const bytes = readFileSync(pack.stagingPath);
  const sealed = bytes.subarray(entry.packOffset, entry.packOffset + entry.packedLength);
  const plain = openContent(repository.cipher, entry, sealed);
  verifyContentHash(writer.hash, entry, plain);
  return plain;
}

for (const options of [
  { version: 3 },
  { version: 1 },
  { version: 2, ecc: 'REED-SOLOMON-CRC32', eccOverheadPercent: 10 },
  { version: 3, ecc: 'REED-SOLOMON-CRC32', eccOverheadPercent: 2, encryption: 'CHACHA20-POLY1305-HMAC-SHA256' },
] as const) {
  test(`packs hold what was written, in order: ${JSON.stringify(options)}`, async (t) => {
    const bench = await createBench(t, options);
    const random = new SeededRandom(1);
    // Around the size of the output buffer (1600 bytes for file data) and far beyond it.
    const pieces = [0, 1, 100, 1571, 1572, 1573, 1600, 5000].map((length) => random.bytes(length));
    const ids = pieces.map((piece) => bench.writer.write('', piece, 'none'));
    const packs = [...bench.full, ...bench.writer.takeOpenPacks()];
    const found = new Map<ContentId, Uint8Array>();
    for (const pack of packs) {
      assert.equal(pack.packId.slice(33), `-${SESSION}`);
      assert.match(pack.packId, /^p[0-9a-f]{32}-/);
      assert.equal(fstatSync(pack.fd).size, pack.length, 'what is buffered has been written');
      const head = recoverFormatBlob(readFileSync(pack.stagingPath));
      assert.equal(head === undefined, options.version > 1, 'a replica where the password cannot change');
      let offset = bench.repository.spec.formatReplica.length + PACK_PREAMBLE_BYTES;
      for (const entry of entriesOf(pack, bench)) {
        assert.equal(entry.packOffset, offset, 'contents follow each other without gaps');
        offset += entry.packedLength;
        assert.equal(entry.formatVersion, options.version);
        assert.equal(entry.packedLength, bench.repository.cipher.maxSealedBytes(entry.originalLength));
        found.set(entry.id, Uint8Array.from(plainOf(entry, pack, bench)));
      }
      assert.equal(offset, pack.length);
    }
    assert.deepEqual([...found.keys()].sort(), [...ids].sort());
    ids.forEach((id, number) => assert.deepEqual(Buffer.from(found.get(id) ?? []), pieces[number]));
    assert.equal(bench.newContents.promised, pieces.length);
    bench.full.length = 0;
    for (const pack of packs) ContentWriter.discard(pack);
  });
}

test('an id is the prefix and the keyed hash of the plaintext', async (t) => {
  const { writer, repository } = await createBench(t);
  const hash = createKeyedHash(repository.spec.hash, repository.spec.secret);
  const data = Buffer.from('some content');
  assert.equal(writer.write('k', data, 'none'), contentIdFromHash('k', hash.digest(data)));
});

test('what was hashed ahead is as if hashed at once, whatever is written meanwhile', async (t) => {
  const { writer, repository } = await createBench(t);
  const hash = createKeyedHash(repository.spec.hash, repository.spec.secret);
  const data = new SeededRandom(11).bytes(3000);
  const ahead = writer.createPartialHash();
  const other = writer.createPartialHash();
  for (const upTo of [0, 1, 1000, 2999, 3000]) {
    ahead.update(data.subarray(0, upTo >> 1));
    other.update(data.subarray(0, 700));
    writer.write('k', Buffer.from(`directory ${upTo}`), 'none');
    ahead.update(data.subarray(ahead.bytes, upTo));
    assert.equal(writer.write('', data, 'none', ahead), contentIdFromHash('', hash.digest(data)), `${upTo}`);
    other.reset();
    other.update(data.subarray(0, 10));
    const text = data.subarray(0, 20);
    assert.equal(writer.write('', text, 'none', other), contentIdFromHash('', hash.digest(text)));
  }
  ahead.update(data);
  assert.throws(() => writer.write('', data.subarray(1), 'none', ahead), { code: 'INTERNAL' });
});

test('file data goes to p packs, everything with a letter to q packs', async (t) => {
  const bench = await createBench(t);
  for (const prefix of ['', 'k', 'x', 'm', 'g', 'z']) bench.writer.write(prefix, Buffer.from('data'), 'none');
  const packs = bench.writer.takeOpenPacks();
  assert.deepEqual(
    packs.map(({ packId, rowCount }) => [packId[0], rowCount]),
    [
      ['p', 1],
      ['q', 5],
    ],
  );
  for (const pack of packs) {
    for (const entry of entriesOf(pack, bench))
      assert.equal(Buffer.from(plainOf(entry, pack, bench)).toString(), 'data');
    ContentWriter.discard(pack);
  }
  for (const prefix of ['f', 'K', 'km', '0', '\0', 'é']) {
    assert.throws(() => bench.writer.write(prefix, Buffer.from('x'), 'none'), { code: 'CONTENT_ID_INVALID' });
  }
});

test('what is known is not stored again', async (t) => {
  const bench = await createBench(t);
  const data = Buffer.from('twice');
  const id = bench.writer.write('', data, 'none');
  assert.equal(bench.writer.write('', data, 'zstd'), id, 'the compressor does not change the id');
  assert.notEqual(bench.writer.write('k', data, 'none'), id, 'the letter does');
  assert.deepEqual(bench.writer.stats, {
    hashedBytes: 15,
    hashedContents: 3,
    newContents: 2,
    newBytes: 10,
    packedBytes: 66,
  });
});

function indexWith(keyOf: ContentId, timestampSeconds: number, deleted: boolean): IndexSet {
  const builder = new IndexBuilder(contentKey(keyOf).length);
  const packed = { packOffset: 32, packedLength: 33, originalLength: 5, compressionId: 0, formatVersion: 3 };
  builder.addEntry({ id: keyOf, packId: 'pold' as never, ...packed, encryptionKeyId: 0, timestampSeconds, deleted });
  const [bytes] = builder.build({ version: 2 });
  assert.ok(bytes !== undefined);
  return new IndexSet([{ blobId: 'xn0_x' as never, parsed: parseIndex(bytes) }], NO_WATERMARK);
}

test('a live content of the index is not stored, a deleted one is, with a later timestamp', async (t) => {
  const bench = await createBench(t);
  const data = Buffer.from('known');
  const id = contentIdFromHash('', bench.writer.hash.digest(data));
  const now = Math.floor(bench.repository.clock.nowMs() / 1000);
  for (const { before, after } of [
    { before: now - 100, after: now },
    { before: now, after: now + 1 },
    { before: now + 100, after: now + 101 },
  ]) {
    const newContents = NewContents.create(bench.keySize, 10);
    bench.writer.setKnown({ indexSet: indexWith(id, before, false), newContents });
    assert.equal(bench.writer.write('', data, 'none'), id);
    assert.deepEqual(bench.writer.takeOpenPacks(), [], 'live');
    bench.writer.setKnown({ indexSet: indexWith(id, before, true), newContents });
    assert.equal(bench.writer.write('', data, 'none'), id);
    const [pack] = bench.writer.takeOpenPacks();
    assert.ok(pack !== undefined);
    assert.deepEqual(
      entriesOf(pack, bench).map(({ timestampSeconds, deleted }) => ({ timestampSeconds, deleted })),
      [{ timestampSeconds: after, deleted: false }],
    );
    ContentWriter.discard(pack);
  }
});

test('a full set of new contents stores twice rather than not at all', async (t) => {
  const bench = await createBench(t, {}, { capacity: 1 });
  for (const text of ['a', 'b', 'b']) bench.writer.write('', Buffer.from(text), 'none');
  assert.equal(bench.writer.stats.newContents, 3);
  assert.equal(bench.newContents.promised, 3);
});

test('compression is used where it helps, header included', async (t) => {
  const bench = await createBench(t);
  const text = new SeededRandom(2).text(900);
  const noise = new SeededRandom(3).bytes(900);
  bench.writer.write('', text, 'zstd');
  bench.writer.write('', noise, 'zstd');
  bench.writer.write('', Buffer.from('ab'), 'zstd');
  const [pack] = bench.writer.takeOpenPacks();
  assert.ok(pack !== undefined);
  const entries = entriesOf(pack, bench);
  assert.deepEqual(
    entries.map((entry) => [entry.compressionId, entry.originalLength]),
    [
      [compressorId('zstd'), 900],
      [0, 900],
      [0, 2],
    ],
  );
  assert.ok((entries[0]?.packedLength ?? 0) < 900);
  assert.deepEqual(
    entries.map((entry) => Buffer.from(plainOf(entry, pack, bench))),
    [text, noise, Buffer.from('ab')],
  );
  ContentWriter.discard(pack);
});

test('index version 1 has no compressed contents', async (t) => {
  const bench = await createBench(t, { version: 1 });
  bench.writer.write('k', new SeededRandom(2).text(900), 'zstd');
  const [pack] = bench.writer.takeOpenPacks();
  assert.ok(pack !== undefined);
  assert.deepEqual(
    entriesOf(pack, bench).map((entry) => [entry.compressionId, entry.packedLength]),
    [[0, 928]],
  );
  ContentWriter.discard(pack);
});

test('contents longer than the output buffer, and across its end, read back', async (t) => {
  for (const options of [{}, { version: 1 as const }, { ecc: 'REED-SOLOMON-CRC32', eccOverheadPercent: 5 }]) {
    const bench = await createBench(t, { ...options, packBytes: 40_000 });
    const random = new SeededRandom(4);
    const chunks = [5000, 1, 1500, 1571, 1572, 1573, 4800, 0, 30_000].map((length) => random.bytes(length));
    const ids = chunks.map((chunk) => bench.writer.write('', Uint8Array.from(chunk), 'none'));
    const [pack] = bench.full;
    assert.ok(pack !== undefined);
    const found = new Map(entriesOf(pack, bench).map((entry) => [entry.id, Buffer.from(plainOf(entry, pack, bench))]));
    assert.deepEqual(
      ids.map((id) => found.get(id)),
      chunks,
    );
  }
});

test('a pack is handed out as soon as it has its size, and not before', async (t) => {
  const { writer, full } = await createBench(t, { packBytes: 1000 });
  const random = new SeededRandom(7);
  writer.write('', random.bytes(1000 - 32 - 28 - 1), 'none');
  assert.equal(full.length, 0, 'one byte short');
  writer.write('', random.bytes(1), 'none');
  assert.deepEqual(
    full.map(({ rowCount, length }) => [rowCount, length]),
    [[2, 1000 - 1 + 29]],
  );
  writer.write('', random.bytes(1000 - 32 - 28), 'none');
  assert.equal(full.length, 2, 'exactly');
  assert.deepEqual(writer.takeOpenPacks(), []);
});

test('a content too long for an index is refused before anything is promised', async (t) => {
  const { writer, newContents } = await createBench(t);
  assert.throws(() => writer.write('', new Uint8Array(2 ** 28 - 28), 'none'), { code: 'CONTENT_TOO_LARGE' });
  assert.equal(newContents.promised, 0);
});

test('an unknown compressor or a missing session promises nothing', async (t) => {
  const { writer, newContents, repository } = await createBench(t);
  assert.throws(() => writer.write('', Buffer.from('x'), 'lz4'), { code: 'FORMAT_UNSUPPORTED' });
  const known = { indexSet: new IndexSet([], NO_WATERMARK), newContents };
  const deps = { random: systemRandom, clock: repository.clock, onPack: () => undefined };
  assert.throws(() => new ContentWriter(repository.spec, known, deps).write('', Buffer.from('x'), 'none'), {
    code: 'INTERNAL',
  });
  assert.equal(newContents.promised, 0);
  assert.deepEqual(repository.stagingFiles(), []);
});

test('after a failure nothing more is written, nothing of the promise is forgotten, nothing is left behind', async (t) => {
  const path = join(memoryFolder(t), 'file');
  writeFileSync(path, '');
  const bench = await createBench(t, {}, { spec: { staging: { kind: 'folder', path } } });
  const failure = { code: 'BLOB_IO' };
  assert.throws(() => bench.writer.write('', Buffer.from('x'), 'none'), failure);
  assert.throws(() => bench.writer.write('', Buffer.from('x'), 'none'), failure);
  assert.throws(() => bench.writer.write('', Buffer.from('y'), 'none'), failure);
  assert.equal(bench.newContents.promised, 1);
  assert.deepEqual(bench.writer.takeOpenPacks(), []);
  assert.deepEqual(bench.writer.abandon(), []);
});

test('without a place for packs the error says so', async (t) => {
  const { writer } = await createBench(t, {}, { spec: { staging: { kind: 'folder', path: '' } } });
  assert.throws(() => writer.write('', Buffer.from('x'), 'none'), { code: 'STAGING_FOLDER_MISSING' });
});

test('a vanished root is never made anew', async (t) => {
  const { writer, repository } = await createBench(t);
  const { localFiles } = repository.storage;
  assert.ok(localFiles !== undefined);
  const { rootPath } = localFiles.layout;
  rmSync(rootPath, { recursive: true });
  assert.throws(() => writer.write('', Buffer.from('x'), 'none'), { code: 'BLOB_IO' });
  assert.throws(() => statSync(rootPath), { code: 'ENOENT' });
});

test('a shard folder that vanishes between two packs is made again', async (t) => {
  const { writer, repository, full } = await createBench(t, { packBytes: 10 });
  const { localFiles } = repository.storage;
  assert.ok(localFiles !== undefined);
  writer.write('', Buffer.from('x'), 'none');
  rmSync(`${localFiles.layout.rootPath}/p`, { recursive: true });
  writer.write('', Buffer.from('y'), 'none');
  assert.equal(full.length, 2);
  mkdirSync(`${localFiles.layout.rootPath}/p`, { recursive: true });
});

test('abandoned packs are closed and named', async (t) => {
  const { writer, repository } = await createBench(t);
  writer.write('', Buffer.from('x'), 'none');
  writer.write('k', Buffer.from('x'), 'none');
  const paths = writer.abandon();
  assert.equal(paths.length, 2);
  assert.equal(repository.stagingFiles().length, 2);
  for (const path of paths) rmSync(path);
});

/** The disk takes so many more bytes: part of a write, then nothing. */
function limitDisk(t: TestContext, room: number): { free(): void } {
  let left = room;
  const { writeSync } = fs;
  const limited = (fd: number, bytes: Uint8Array, offset: number, length: number, position: number | null): number => {
    if (left === 0) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    const count = Math.min(length, left);
    left -= count;
    return writeSync(fd, bytes, offset, count, position);
  };
  const mocked = t.mock.method(fs, 'writeSync', limited as typeof writeSync);
  syncBuiltinESMExports();
  const free = (): void => {
    mocked.mock.restore();
    syncBuiltinESMExports();
  };
  t.after(free);
  return { free };
}

for (const large of [false, true]) {
  test(`a write that a full disk cut off leaves the pack good: ${large ? 'large' : 'gathered'} contents`, async (t) => {
    const bench = await createBench(t);
    const random = new SeededRandom(12);
    const kept = [random.bytes(700), random.bytes(700)];
    for (const bytes of kept) bench.writer.write('', bytes, 'none');
    const disk = limitDisk(t, 1000);
    assert.throws(() => bench.writer.write('', random.bytes(large ? 3000 : 800), 'none'), { code: 'BLOB_STORE_FULL' });
    if (!large) assert.throws(() => bench.writer.takeOpenPacks(), { code: 'BLOB_STORE_FULL' }, 'still no room');
    disk.free();
    const [pack] = bench.writer.takeOpenPacks();
    assert.ok(pack !== undefined);
    const entries = entriesOf(pack, bench);
    assert.deepEqual(
      entries.map((entry) => Buffer.from(plainOf(entry, pack, bench))),
      kept,
    );
    assert.equal(bench.newContents.promised, 3, 'one more than there are rows: the session cannot be completed');
    ContentWriter.discard(pack);
  });
}
