import assert from 'node:assert/strict';
import { fstatSync, readFileSync, writeSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { systemRandom } from '../../base/random.ts';
import {
  type ContentRepository,
  type ContentRepositoryOptions,
  createContentRepository,
} from '../../test/harness/content-repository.ts';
import { createFaultyStorage, type FaultMoment, injectedError } from '../../test/harness/faulty-storage.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { createKeyedHash } from '../hash/keyed-hash.ts';
import { contentKey } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';
import { IndexSet, NO_WATERMARK } from '../index/index-set.ts';
import { openContent } from './content-codec.ts';
import { ContentWriter, type StagedPack } from './content-writer.ts';
import { NewContents } from './new-contents.ts';
import { finishPack, joinPacks, type PackFinisherDeps } from './pack-finisher.ts';
import { readLocalIndex } from './pack-recovery.ts';
import { PACK_ALIGNMENT, PACK_PREAMBLE_BYTES, parsePostamble } from './pack-trailer.ts';
import type { SessionId } from './session.ts';

const KINDS = ['memory', 'filesystem'] as const;

interface Bench {
  readonly repository: ContentRepository;
  readonly deps: PackFinisherDeps;
  /** A staged pack with contents of these lengths. */
  stage(lengths: readonly number[], prefix?: string): StagedPack;
}

async function createBench(t: TestContext, options: ContentRepositoryOptions): Promise<Bench> {
  const repository = await createContentRepository(t, { packBytes: 1 << 20, ...options });
  const { spec, format, storage, cipher, clock } = repository;
  const hash = createKeyedHash(spec.hash, spec.secret);
  const keySize = 1 + hash.sizeBytes;
  const random = new SeededRandom(9);
  const known = { indexSet: new IndexSet([], NO_WATERMARK), newContents: NewContents.create(keySize, 1000) };
  return {
    repository,
    deps: {
      storage,
      cipher,
      hash,
      random: systemRandom,
      indexVersion: spec.indexVersion,
      formatVersion: format.config.version,
      formatReplicaBytes: spec.formatReplica.length,
      keySize,
    },
    stage(lengths, prefix = '') {
      const writer = new ContentWriter(spec, known, { random: systemRandom, clock, onPack: () => undefined });
      writer.setSession('s01' as SessionId);
      for (const length of lengths) writer.write(prefix, random.bytes(length), 'none');
      const [pack] = writer.takeOpenPacks();
      assert.ok(pack !== undefined);
      return pack;
    },
  };
}

async function readEntries(bench: Bench, packId: StagedPack['packId'], signal: AbortSignal): Promise<IndexEntry[]> {
  const { storage, cipher } = bench.repository;
  const entries = await readLocalIndex(storage, packId, cipher, signal);
  const bytes = await storage.getBlob(packId, undefined, signal);
  for (const entry of entries) {
    assert.equal(entry.packId, packId);
    const sealed = bytes.subarray(entry.packOffset, entry.packOffset + entry.packedLength);
    assert.equal(openContent(cipher, entry, sealed).length, entry.originalLength);
    assert.deepEqual(bench.deps.hash.digest(openContent(cipher, entry, sealed)), contentKey(entry.id).subarray(1));
  }
  return entries;
}

for (const kind of KINDS) {
  for (const options of [
    { version: 3 },
    { version: 1 },
    { version: 3, ecc: 'REED-SOLOMON-CRC32', eccOverheadPercent: 5 },
  ] as const) {
    test(`a finished pack tells its contents by itself: ${kind}, ${JSON.stringify(options)}`, async (t) => {
      const bench = await createBench(t, { kind, ...options });
      const pack = bench.stage([0, 1, 500, 3000]);
      const metadata = await finishPack(pack, bench.deps, t.signal);
      const { storage } = bench.repository;
      const bytes = await storage.getBlob(pack.packId, undefined, t.signal);
      assert.equal(metadata.id, pack.packId);
      assert.equal(metadata.length, bytes.length);
      const { indexOffset, indexLength } = parsePostamble(pack.packId, bytes, bytes.length);
      assert.equal(indexOffset % PACK_ALIGNMENT, 0);
      assert.ok(indexOffset > pack.length && indexOffset <= pack.length + PACK_ALIGNMENT);
      assert.equal(bytes.length - 1 - (bytes.at(-1) ?? 0), indexOffset + indexLength, 'nothing between');
      const entries = await readEntries(bench, pack.packId, t.signal);
      assert.deepEqual(
        entries.map((entry) => entry.originalLength).sort((a, b) => a - b),
        [0, 1, 500, 3000],
      );
      assert.deepEqual(bench.repository.stagingFiles(), []);
      assert.throws(() => fstatSync(pack.fd), { code: 'EBADF' });
    });
  }
}

test('a pack that ends on a multiple of 4096 gets a whole block of padding', async (t) => {
  const bench = await createBench(t, { kind: 'memory' });
  const pack = bench.stage([PACK_ALIGNMENT - PACK_PREAMBLE_BYTES - 28]);
  assert.equal(pack.length, PACK_ALIGNMENT);
  const { length } = await finishPack(pack, bench.deps, t.signal);
  const bytes = await bench.repository.storage.getBlob(pack.packId, undefined, t.signal);
  assert.equal(parsePostamble(pack.packId, bytes, length).indexOffset, 2 * PACK_ALIGNMENT);
});

test('what a failed write left behind the last content is cut off', async (t) => {
  const bench = await createBench(t, { kind: 'filesystem' });
  const pack = bench.stage([100]);
  const junk = new Uint8Array(50_000).fill(0xdd);
  writeSync(pack.fd, junk, 0, junk.length, pack.length);
  await finishPack(pack, bench.deps, t.signal);
  assert.equal((await readEntries(bench, pack.packId, t.signal)).length, 1);
});

test('a pack without contents is a bug, not a blob', async (t) => {
  const bench = await createBench(t, { kind: 'memory' });
  const pack = { ...bench.stage([1]), rows: new Uint8Array(0), rowCount: 0 };
  await assert.rejects(finishPack(pack, bench.deps, t.signal), RangeError);
  assert.deepEqual(await bench.repository.blobNames('p'), []);
  assert.deepEqual(bench.repository.stagingFiles(), []);
});

for (const kind of KINDS) {
  for (const when of ['before', 'during', 'after'] satisfies FaultMoment[]) {
    test(`a storage that fails ${when} storing leaves no file and no descriptor: ${kind}`, async (t) => {
      const bench = await createBench(t, { kind });
      const faulty = createFaultyStorage(t, bench.repository.storage);
      faulty.plan({ method: kind === 'memory' ? 'putBlob' : 'commitStaged', when, error: injectedError() });
      const pack = bench.stage([100]);
      await assert.rejects(finishPack(pack, { ...bench.deps, storage: faulty.storage }, t.signal), { code: 'BLOB_IO' });
      assert.deepEqual(bench.repository.stagingFiles(), []);
      assert.throws(() => fstatSync(pack.fd), { code: 'EBADF' });
    });
  }
}

for (const version of [1, 3] as const) {
  test(`packs are joined per kind, offsets move along: format version ${version}`, async (t) => {
    const bench = await createBench(t, { kind: 'filesystem', version });
    const staged = [
      bench.stage([500, 10]),
      bench.stage([2000, 0, 7]),
      bench.stage([1]),
      bench.stage([30, 40], 'k'),
      bench.stage([5], 'x'),
    ];
    const joined = await joinPacks(staged, 1 << 20, bench.deps);
    assert.deepEqual(
      joined.map(({ packId, rowCount }) => [packId[0], rowCount]),
      [
        ['p', 6],
        ['q', 3],
      ],
    );
    assert.equal(joined[0]?.packId, staged[1]?.packId, 'the largest one grows');
    assert.equal(bench.repository.stagingFiles().length, 2);
    const lengths: number[] = [];
    for (const pack of joined) {
      assert.equal(readFileSync(pack.stagingPath).length, pack.length);
      await finishPack(pack, bench.deps, t.signal);
      for (const entry of await readEntries(bench, pack.packId, t.signal)) lengths.push(entry.originalLength);
    }
    assert.deepEqual(
      lengths.sort((a, b) => a - b),
      [0, 1, 5, 7, 10, 30, 40, 500, 2000],
    );
  });
}

test('joining never makes a pack larger than allowed', async (t) => {
  const bench = await createBench(t, { kind: 'memory' });
  const bodies = [600, 500, 400, 300, 200].map((size) => size + 28);
  const staged = bodies.map((size) => bench.stage([size - 28]));
  const joined = await joinPacks(staged, PACK_PREAMBLE_BYTES + 1056, bench.deps);
  assert.deepEqual(
    joined.map(({ length }) => length - PACK_PREAMBLE_BYTES),
    [628 + 428, 528 + 328, 228],
  );
  for (const pack of joined) await finishPack(pack, bench.deps, t.signal);
  const all = await Promise.all(joined.map(({ packId }) => readEntries(bench, packId, t.signal)));
  assert.equal(all.flat().length, 5);
});

test('full packs and single ones pass through untouched', async (t) => {
  const bench = await createBench(t, { kind: 'memory' });
  const pack = bench.stage([5000]);
  assert.deepEqual(await joinPacks([pack], 1000, bench.deps), [pack]);
  assert.deepEqual(await joinPacks([], 1000, bench.deps), []);
  ContentWriter.discard(pack);
});

test('when joining fails no staging file stays', async (t) => {
  const bench = await createBench(t, { kind: 'memory' });
  const cutShort = { ...bench.stage([100]), length: 1000 };
  const staged = [bench.stage([3000]), bench.stage([500], 'k'), cutShort];
  await assert.rejects(joinPacks(staged, 1 << 20, bench.deps), RangeError);
  assert.deepEqual(bench.repository.stagingFiles(), []);
  for (const { fd } of staged) assert.throws(() => fstatSync(fd), { code: 'EBADF' });
});
