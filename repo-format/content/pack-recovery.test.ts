import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { WindlassError } from '../../base/errors.ts';
import { type ContentRepository, createContentRepository } from '../../test/harness/content-repository.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { createMemoryStorage } from '../blob/memory.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import { createContentCipher } from '../crypto/content-cipher.ts';
import { readLocalIndex } from './pack-recovery.ts';
import { encodePostamble } from './pack-trailer.ts';

interface Fixture {
  readonly repository: ContentRepository;
  readonly packId: BlobId;
  readonly bytes: Uint8Array;
}

async function storePack(t: TestContext, contents: number): Promise<Fixture> {
  const repository = await createContentRepository(t, { kind: 'memory', packBytes: 1 << 20 });
  const manager = await repository.open();
  const random = new SeededRandom(11);
  for (let n = 0; n < contents; n++) await manager.write('', random.bytes(20), 'none', t.signal);
  await manager.flush(t.signal);
  const [packId] = (await repository.blobNames('p')) as BlobId[];
  assert.ok(packId !== undefined);
  return { repository, packId, bytes: await repository.storage.getBlob(packId, undefined, t.signal) };
}

function storageWith(fixture: Fixture, bytes: Uint8Array, signal: AbortSignal): Promise<BlobStorage> {
  const storage = createMemoryStorage({ clock: fixture.repository.clock });
  return storage.putBlob(fixture.packId, bytes, signal).then(() => storage);
}

// The second one's index starts before the first tail that is read.
for (const contents of [3, 900]) {
  test(`the local index of a pack is what the index blobs say: ${contents} contents`, async (t) => {
    const { repository, packId } = await storePack(t, contents);
    const found = await readLocalIndex(repository.storage, packId, repository.cipher, t.signal);
    assert.equal(found.length, contents);
    assert.deepEqual(found, [...(await repository.loadIndex()).iterate()]);
  });
}

test('a missing pack is missing', async (t) => {
  const { repository } = await storePack(t, 1);
  await assert.rejects(readLocalIndex(repository.storage, 'pnone' as BlobId, repository.cipher, t.signal), {
    code: 'BLOB_NOT_FOUND',
  });
});

test('another repository’s key opens nothing', async (t) => {
  const { repository, packId, bytes } = await storePack(t, 3);
  const cipher = createContentCipher({ ...repository.spec.cipher, masterKey: new Uint8Array(32).fill(1) });
  await assert.rejects(readLocalIndex(repository.storage, packId, cipher, t.signal), (error) => {
    assert.ok(error instanceof WindlassError);
    assert.equal(error.code, 'PACK_INDEX_CORRUPT');
    const { offset, length, packId: named } = error.context;
    assert.equal(named, packId);
    assert.ok(typeof offset === 'number' && typeof length === 'number' && offset + length < bytes.length);
    return true;
  });
});

async function isRefused(fixture: Fixture, bytes: Uint8Array, signal: AbortSignal): Promise<boolean> {
  const storage = await storageWith(fixture, bytes, signal);
  try {
    const entries = await readLocalIndex(storage, fixture.packId, fixture.repository.cipher, signal);
    assert.equal(entries.length, 3, 'what opens is what was stored');
    return false;
  } catch (error) {
    assert.ok(error instanceof WindlassError, String(error));
    assert.ok(['PACK_TRAILER_INVALID', 'PACK_INDEX_CORRUPT'].includes(error.code), error.code);
    return true;
  }
}

test('every truncation is refused', async (t) => {
  const fixture = await storePack(t, 3);
  const { bytes } = fixture;
  for (let length = 0; length < bytes.length; length += length < 4000 ? 97 : 1) {
    assert.ok(await isRefused(fixture, bytes.subarray(0, length), t.signal), `${length} bytes`);
  }
});

test('every flipped byte of index and postamble is refused', async (t) => {
  const fixture = await storePack(t, 3);
  for (let at = 4096; at < fixture.bytes.length; at++) {
    const flipped = Uint8Array.from(fixture.bytes);
    flipped[at] = (flipped[at] ?? 0) ^ 0x04;
    assert.ok(await isRefused(fixture, flipped, t.signal), `byte ${at}`);
  }
});

test('a postamble that points at something else is refused, without taking memory for it', async (t) => {
  const fixture = await storePack(t, 3);
  const { bytes } = fixture;
  const iv = new Uint8Array(16);
  for (const [indexOffset, indexLength] of [
    [0, 4096],
    [0, 0],
    [4096, 10],
    [0, 2 ** 40],
    [2 ** 40, 1],
  ] as const) {
    const forged = Buffer.concat([bytes, encodePostamble({ iv, indexOffset, indexLength })]);
    assert.ok(await isRefused(fixture, forged, t.signal), `${indexOffset}+${indexLength}`);
  }
});
