// The repositories under test/golden/kopia-repositories, end to end: what kopia wrote is found, and what we would write
// for the same entries has the same bytes.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { openFilesystemStorage } from '../blob/filesystem.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { createContentCipher, type ContentCipher } from '../crypto/content-cipher.ts';
import { openFormat, type OpenFormat } from '../format/open-format.ts';
import { createKeyedHash } from '../hash/keyed-hash.ts';
import { contentHash } from '../index/content-id.ts';
import type { IndexEntry } from '../index/entry.ts';
import { IndexBuilder } from '../index/index-builder.ts';
import { IndexSet, NO_WATERMARK } from '../index/index-set.ts';
import { mergeIndexes } from '../index/merge-indexes.ts';
import { parseIndex } from '../index/parse-index.ts';
import { openBlob, sealBlob } from './encrypted-blob.ts';
import { loadLegacyActiveBlobs } from './legacy.ts';
import { loadIndexSet } from './load-index.ts';
import { LEGACY_POISON_BLOB } from './names.ts';
import { listAll } from './snapshot.ts';

const FOLDER = new URL('../../test/golden/kopia-repositories/', import.meta.url);
const REPOSITORIES = ['v1', 'v1-compacted-and-upgraded', 'v3'] as const;
const signal = new AbortController().signal;

interface Golden {
  readonly storage: BlobStorage;
  readonly format: OpenFormat;
  readonly cipher: ContentCipher;
}

const opened = new Map<string, Promise<Golden>>();

/** Opened once for all tests: deriving the key is what takes time. Read-only, so the files stay as kopia left them. */
function golden(name: (typeof REPOSITORIES)[number]): Promise<Golden> {
  const known = opened.get(name) ?? open(name);
  opened.set(name, known);
  return known;
}

async function open(name: string): Promise<Golden> {
  const path = fileURLToPath(new URL(name, FOLDER));
  const storage = await openFilesystemStorage({ path, readOnly: true }, { random: systemRandom });
  const deps = { clock: createTestClock(), random: systemRandom, logger: silentLogger };
  const format = await openFormat(storage, 'kopia-spec-test', deps, signal);
  const { encryption, masterKey } = format.config;
  return { storage, format, cipher: createContentCipher({ encryption, masterKey }) };
}

const load = ({ storage, cipher, format }: Golden) =>
  loadIndexSet({ storage, cipher, config: format.config, clock: createTestClock() }, signal);

interface KopiaContent {
  readonly packFile: string;
  readonly time: number;
  readonly originalLength: number;
  readonly length: number;
  readonly packOffset: number;
  readonly compression?: number;
  readonly contentID: string;
  readonly deleted: boolean;
  readonly formatVersion: number;
}

const asKopiaPrints = (entry: IndexEntry): KopiaContent => ({
  packFile: entry.packId,
  time: entry.timestampSeconds,
  originalLength: entry.originalLength,
  length: entry.packedLength,
  packOffset: entry.packOffset,
  ...(entry.compressionId === 0 ? {} : { compression: entry.compressionId }),
  contentID: entry.id,
  deleted: entry.deleted,
  formatVersion: entry.formatVersion,
});

test('v3 holds exactly the contents that kopia lists', async () => {
  const text = await readFile(new URL('v3-contents.jsonl', FOLDER), 'utf8');
  const expected = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line.replace(/^INFO /, '')) as KopiaContent);
  const { indexSet, epochSnapshot, blobIds } = await load(await golden('v3'));
  assert.equal(epochSnapshot?.writeEpoch, 11);
  assert.equal(epochSnapshot.watermarkSeconds, 1795161018);
  assert.deepEqual(
    epochSnapshot.rangeChain.map(({ min, max }) => [min, max]),
    [[0, 9]],
  );
  assert.deepEqual(blobIds.map((id) => id.replace(/_[^_]*$/, '')).sort(), ['xn10', 'xn11', 'xr0_9']);
  const byId = (a: KopiaContent, b: KopiaContent): number => (a.contentID < b.contentID ? -1 : 1);
  assert.deepEqual([...indexSet.iterate()].map(asKopiaPrints).sort(byId), expected.toSorted(byId));
  assert.ok(expected.some((content) => content.deleted));
});

test('every content of every repository opens to its original length and hash', async () => {
  for (const name of REPOSITORIES) {
    const repository = await golden(name);
    const hash = createKeyedHash(repository.format.config.hash, repository.format.config.secret);
    const { indexSet } = await load(repository);
    let uncompressed = 0;
    for (const entry of indexSet.iterate()) {
      const range = { offset: entry.packOffset, length: entry.packedLength };
      const sealed = await repository.storage.getBlob(entry.packId, range, signal);
      const id = contentHash(entry.id);
      const plain = repository.cipher.open(id.slice(-16), sealed);
      if (entry.compressionId !== 0) continue;
      assert.equal(plain.length, entry.originalLength);
      assert.deepEqual(Buffer.from(hash.digest(plain)), Buffer.from(id));
      uncompressed++;
    }
    assert.ok(uncompressed > 3, name);
  }
});

test('every index blob, rebuilt from its entries, has the same bytes and name', async () => {
  let rebuilt = 0;
  for (const name of REPOSITORIES) {
    const { storage, cipher, format } = await golden(name);
    const hash = createKeyedHash(format.config.hash, format.config.secret);
    for (const prefix of ['n', 'xn', 'xs', 'xr']) {
      for (const { id } of await listAll(storage, prefix, signal)) {
        if (id === LEGACY_POISON_BLOB) continue;
        const plain = openBlob(cipher, id, await storage.getBlob(id, undefined, signal));
        const parsed = parseIndex(plain);
        const builder = new IndexBuilder();
        for (const entry of parsed.iterate()) builder.addEntry(entry);
        // Legacy compaction (no session in the name) appends random bytes.
        const tail = /^n[0-9a-f]+$/.test(id) ? plain.slice(-32) : undefined;
        const [bytes] = builder.build({ version: parsed.version, ...(tail === undefined ? {} : { tail }) });
        assert.ok(bytes !== undefined && Buffer.from(bytes).equals(plain), id);
        const [start = '', ...suffix] = id.split('-');
        assert.equal(sealBlob({ cipher, hash }, start.slice(0, -32), suffix.join('-'), bytes).id, id);
        rebuilt++;
      }
    }
  }
  assert.equal(rebuilt, 40);
});

test('an upgraded repository reads its converted index and ignores the legacy blobs, which say the same', async () => {
  const upgraded = await golden('v1-compacted-and-upgraded');
  const { storage, cipher } = upgraded;
  const { indexSet, blobIds } = await load(upgraded);
  assert.ok(blobIds.every((id) => id.startsWith('xn0_')));
  const legacy = await loadLegacyActiveBlobs({ storage, cipher }, signal);
  assert.deepEqual(
    legacy.map((blob) => blob.id),
    ['n2b775eb28fb62fa785614ed12f8c85f0'],
  );
  const indexes = await Promise.all(
    legacy.map(async ({ id }) => parseIndex(openBlob(cipher, id, await storage.getBlob(id, undefined, signal)))),
  );
  const converted = [...indexSet.iterate()];
  for (const entry of mergeIndexes(indexes)) {
    const found = converted.find((other) => other.id === entry.id);
    assert.ok(found !== undefined && found.timestampSeconds >= entry.timestampSeconds, entry.id);
  }
});

test('v1 has no epochs and no watermark', async () => {
  const { indexSet, epochSnapshot, blobIds } = await load(await golden('v1'));
  assert.equal(epochSnapshot, undefined);
  assert.equal(indexSet.watermarkSeconds, NO_WATERMARK);
  assert.equal(blobIds.length, 8);
  assert.ok(indexSet.indexes.every(({ parsed }) => parsed.version === 1));
  assert.ok(indexSet instanceof IndexSet && indexSet.rowCount > 0);
});
