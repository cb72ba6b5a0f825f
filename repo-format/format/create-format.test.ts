import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRandom } from '../../base/random.ts';
import { CHEAP_KEY_ALGORITHM, cheapKeys } from '../../test/harness/cheap-keys.ts';
import {
  goldenFormatBlob,
  VECTOR_FORMAT_KEY,
  VECTOR_MASTER_KEY,
  VECTOR_SECRET,
  VECTOR_UNIQUE_ID,
} from '../../test/harness/format-vectors.ts';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { createMemoryStorage } from '../blob/memory.ts';
import type { BlobId } from '../blob/storage.ts';
import { ENCRYPTION_ALGORITHMS } from '../crypto/content-cipher.ts';
import { HASH_ALGORITHMS } from '../hash/keyed-hash.ts';
import { createFormat } from './create-format.ts';
import type { CreateFormatOptions } from './create-format.ts';
import { BLOB_CONFIG_ID, FORMAT_BLOB_ID, openFormatPart, parseFormatBlob } from './format-blob.ts';
import { openFormat } from './open-format.ts';
import { encodeRepositoryConfig } from './repository-config.ts';

const clock = createTestClock();
const deps = { clock, random: systemRandom, deriveKey: cheapKeys };
const options: CreateFormatOptions = { password: 'pw', keyAlgo: CHEAP_KEY_ALGORITHM };
const { signal } = new AbortController();

test('with the vectors’ keys, the configuration is kopia’s byte for byte', async () => {
  const draws = [VECTOR_SECRET, VECTOR_MASTER_KEY, VECTOR_UNIQUE_ID];
  const random = { bytes: (length: number) => draws.shift() ?? new Uint8Array(length) };
  const storage = createMemoryStorage({ clock });
  const open = await createFormat(
    storage,
    { password: 'kopia-spec-test', hash: 'BLAKE2B-256-128' },
    { clock, random },
    signal,
  );
  assert.deepEqual(open.formatKey, VECTOR_FORMAT_KEY);
  const { sealedConfig, uniqueId } = parseFormatBlob(goldenFormatBlob('v3', 'repository'));
  const byKopia = openFormatPart(sealedConfig, VECTOR_FORMAT_KEY, uniqueId);
  assert.equal(Buffer.from(encodeRepositoryConfig(open.config)).toString(), Buffer.from(byKopia ?? []).toString());
  assert.equal((await storage.getMetadata(BLOB_CONFIG_ID, signal)).length, 30);
});

test('what was created opens again, whatever was chosen', async () => {
  const choices: readonly Partial<CreateFormatOptions>[] = [
    {},
    ...HASH_ALGORITHMS.map((hash) => ({ hash })),
    ...ENCRYPTION_ALGORITHMS.map((encryption) => ({ encryption })),
    { version: 1 },
    { version: 2 },
    { splitter: 'FIXED-1M' },
    { maxPackSizeBytes: 120 * 1024 * 1024 },
    { eccOverheadPercent: 5 },
  ];
  for (const choice of choices) {
    const storage = createMemoryStorage({ clock });
    const created = await createFormat(storage, { ...options, ...choice }, deps, signal);
    const opened = await openFormat(storage, 'pw', deps, signal);
    assert.deepEqual(opened.config, created.config);
    assert.deepEqual(opened.formatBlobBytes, created.formatBlobBytes);
    assert.equal(opened.config.hash, choice.hash ?? 'BLAKE3-256-128');
    assert.equal(opened.config.version, choice.version ?? 3);
  }
});

test('the version decides index, epochs, password change and error correction', async () => {
  const create = async (version: 1 | 2 | 3): Promise<Awaited<ReturnType<typeof createFormat>>> =>
    await createFormat(createMemoryStorage({ clock }), { ...options, version, eccOverheadPercent: 3 }, deps, signal);
  const old = await create(1);
  assert.equal(old.config.indexVersion, 1);
  assert.equal(old.config.enablePasswordChange, false);
  assert.equal(old.config.epochParameters.enabled, false);
  assert.equal(old.config.ecc, '');
  for (const version of [2, 3] as const) {
    const { config } = await create(version);
    assert.equal(config.indexVersion, 2);
    assert.equal(config.enablePasswordChange, true);
    assert.equal(config.epochParameters.enabled, true);
    assert.equal(config.ecc, 'REED-SOLOMON-CRC32');
  }
});

test('every repository has its own keys', async () => {
  const [one, other] = await Promise.all(
    [0, 1].map(async () => await createFormat(createMemoryStorage({ clock }), options, deps, signal)),
  );
  assert.ok(one && other);
  assert.notDeepEqual(one.uniqueId, other.uniqueId);
  assert.notDeepEqual(one.config.masterKey, other.config.masterKey);
  assert.notDeepEqual(one.config.secret, other.config.secret);
});

test('a place that holds anything is refused, the rest of an interrupted creation is not', async () => {
  for (const name of ['kopia.repository', 'p0123', 'anything']) {
    const storage = createMemoryStorage({ clock });
    await storage.putBlob(name as BlobId, Uint8Array.of(1), signal);
    await assert.rejects(createFormat(storage, options, deps, signal), { code: 'REPOSITORY_EXISTS' });
    assert.deepEqual(await storage.getBlob(name as BlobId, undefined, signal), Uint8Array.of(1));
  }
  const storage = createMemoryStorage({ clock });
  await storage.putBlob(BLOB_CONFIG_ID, new Uint8Array(30), signal);
  await createFormat(storage, options, deps, signal);
  await openFormat(storage, 'pw', deps, signal);
});

test('bad options leave the storage empty', async () => {
  const refused: readonly (readonly [Partial<CreateFormatOptions>, string])[] = [
    [{ password: '' }, 'PASSWORD_INVALID'],
    [{ hash: 'MD5' }, 'FORMAT_UNSUPPORTED'],
    [{ encryption: 'NONE' }, 'FORMAT_UNSUPPORTED'],
    [{ splitter: 'AXE' }, 'FORMAT_UNSUPPORTED'],
    [{ ecc: 'NO-SUCH', eccOverheadPercent: 5 }, 'FORMAT_UNSUPPORTED'],
    [{ eccOverheadPercent: 101 }, 'FORMAT_INVALID'],
    [{ eccOverheadPercent: -1 }, 'FORMAT_INVALID'],
    [{ eccOverheadPercent: 2.5 }, 'FORMAT_INVALID'],
    [{ keyAlgo: 'md5' }, 'FORMAT_UNSUPPORTED'],
    [{ maxPackSizeBytes: 10 * 1024 * 1024 - 1 }, 'FORMAT_INVALID'],
    [{ maxPackSizeBytes: 120 * 1024 * 1024 + 1 }, 'FORMAT_INVALID'],
    [{ maxPackSizeBytes: Number.NaN }, 'FORMAT_INVALID'],
  ];
  for (const [choice, code] of refused) {
    const storage = createMemoryStorage({ clock });
    await assert.rejects(
      createFormat(storage, { ...options, ...choice }, deps, signal),
      { code },
      JSON.stringify(choice),
    );
    for await (const { id } of storage.listBlobs('', signal)) assert.fail(`${id} was written`);
  }
});

test('the blob that makes it a repository is written last', async () => {
  const storage = createMemoryStorage({ clock });
  const order: string[] = [];
  const watched = {
    ...storage,
    putBlob: async (...args: Parameters<typeof storage.putBlob>) => {
      order.push(args[0]);
      return await storage.putBlob(...args);
    },
  };
  await createFormat(watched, options, deps, signal);
  assert.deepEqual(order, [BLOB_CONFIG_ID, FORMAT_BLOB_ID]);
});
