import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../../base/errors.ts';
import { silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import { CHEAP_KEY_ALGORITHM, cheapKeys } from '../../test/harness/cheap-keys.ts';
import { createFaultyStorage, injectedError } from '../../test/harness/faulty-storage.ts';
import { goldenFormatBlob, VECTOR_FORMAT_KEY, VECTOR_PASSWORD } from '../../test/harness/format-vectors.ts';
import type { GoldenFormat } from '../../test/harness/format-vectors.ts';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { createMemoryStorage } from '../blob/memory.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { createFormat } from './create-format.ts';
import { BLOB_CONFIG_ID, encodeFormatBlob, FORMAT_BLOB_ID, parseFormatBlob, sealFormatPart } from './format-blob.ts';
import { openFormat, refreshFormat } from './open-format.ts';
import type { FormatDeps, OpenFormat } from './open-format.ts';
import { encodeRepositoryConfig } from './repository-config.ts';

const clock = createTestClock();
const deps = { clock, random: systemRandom };
const cheapDeps = { ...deps, deriveKey: cheapKeys };
/** For the golden blobs with the unique id of the vectors: the right key without the wait. */
const vectorDeps: FormatDeps = { ...deps, deriveKey: async () => VECTOR_FORMAT_KEY };
const { signal } = new AbortController();

async function goldenStorage(name: GoldenFormat): Promise<BlobStorage> {
  const storage = createMemoryStorage({ clock });
  await storage.putBlob(FORMAT_BLOB_ID, goldenFormatBlob(name, 'repository'), signal);
  await storage.putBlob(BLOB_CONFIG_ID, goldenFormatBlob(name, 'blobcfg'), signal);
  return storage;
}

async function created(): Promise<{ storage: BlobStorage; open: OpenFormat }> {
  const storage = createMemoryStorage({ clock });
  const open = await createFormat(storage, { password: 'pw', keyAlgo: CHEAP_KEY_ALGORITHM }, cheapDeps, signal);
  return { storage, open };
}

/** Stores a changed configuration the way any client would. */
async function rewriteConfig(storage: BlobStorage, open: OpenFormat, change: (json: string) => string): Promise<void> {
  const json = change(Buffer.from(encodeRepositoryConfig(open.config)).toString());
  const sealedConfig = sealFormatPart(Buffer.from(json), open.formatKey, open.uniqueId, systemRandom);
  const blob = parseFormatBlob(open.formatBlobBytes);
  await storage.putBlob(FORMAT_BLOB_ID, encodeFormatBlob({ ...blob, sealedConfig }), signal);
}

test('repositories by kopia open', async () => {
  const v1 = await openFormat(await goldenStorage('v1'), VECTOR_PASSWORD, deps, signal);
  assert.deepEqual(v1.formatKey, VECTOR_FORMAT_KEY);
  assert.equal(v1.config.version, 1);
  assert.equal(v1.config.indexVersion, 1);
  assert.equal(v1.config.epochParameters.enabled, false);
  assert.equal(v1.config.enablePasswordChange, false);
  assert.deepEqual(v1.formatBlobBytes, goldenFormatBlob('v1', 'repository'));

  const upgraded = await openFormat(await goldenStorage('v1-compacted-and-upgraded'), '', vectorDeps, signal);
  assert.equal(upgraded.config.version, 3);
  assert.equal(upgraded.config.indexVersion, 2);
  assert.equal(upgraded.config.epochParameters.enabled, true);
  assert.equal(upgraded.config.enablePasswordChange, false);

  const v3 = await openFormat(await goldenStorage('v3'), '', vectorDeps, signal);
  assert.equal(v3.config.version, 3);
  assert.equal(v3.blobConfig.retentionMode, '');

  const ecc = await openFormat(await goldenStorage('ecc'), VECTOR_PASSWORD, deps, signal);
  assert.equal(ecc.config.ecc, 'REED-SOLOMON-CRC32');
  assert.ok(ecc.config.eccOverheadPercent > 0);
});

test('only the new password opens a repository whose password kopia changed', async () => {
  const storage = await goldenStorage('password-changed');
  await openFormat(storage, `${VECTOR_PASSWORD}-2`, deps, signal);
  await assert.rejects(openFormat(storage, VECTOR_PASSWORD, deps, signal), { code: 'PASSWORD_WRONG' });
});

test('no repository, wrong password, missing blob configuration', async () => {
  const { storage } = await created();
  await assert.rejects(openFormat(createMemoryStorage({ clock }), 'pw', cheapDeps, signal), {
    code: 'REPOSITORY_NOT_FOUND',
  });
  for (const password of ['', 'PW', 'pw ', ' pw']) {
    await assert.rejects(openFormat(storage, password, cheapDeps, signal), { code: 'PASSWORD_WRONG' });
  }
  await storage.deleteBlob(BLOB_CONFIG_ID, signal);
  assert.equal((await openFormat(storage, 'pw', cheapDeps, signal)).blobConfig.retentionMode, '');
});

test('the cheap derivation of tests does not open anything by itself', async () => {
  const { storage } = await created();
  await assert.rejects(openFormat(storage, 'pw', deps, signal), { code: 'FORMAT_UNSUPPORTED' });
});

test('a blob configuration under another key is told apart from a wrong password', async () => {
  const { storage, open } = await created();
  const other = sealFormatPart(Buffer.from('{}'), new Uint8Array(32), open.uniqueId, systemRandom);
  await storage.putBlob(BLOB_CONFIG_ID, other, signal);
  await assert.rejects(openFormat(storage, 'pw', cheapDeps, signal), { code: 'PASSWORD_CHANGE_INCOMPLETE' });
  await storage.putBlob(BLOB_CONFIG_ID, new Uint8Array(5), signal);
  await assert.rejects(openFormat(storage, 'pw', cheapDeps, signal), { code: 'PASSWORD_CHANGE_INCOMPLETE' });
});

test('damage of any byte, and any truncation, is a typed error or goes unnoticed in words without meaning', async () => {
  const stored = goldenFormatBlob('v3', 'repository');
  const storage = await goldenStorage('v3');
  const { config } = await openFormat(storage, '', vectorDeps, signal);
  const codes = ['FORMAT_INVALID', 'FORMAT_UNSUPPORTED', 'PASSWORD_WRONG', 'PASSWORD_CHANGE_INCOMPLETE'];
  const openWith = async (bytes: Uint8Array): Promise<void> => {
    await storage.putBlob(FORMAT_BLOB_ID, bytes, signal);
    try {
      assert.deepEqual((await openFormat(storage, '', vectorDeps, signal)).config, config);
    } catch (error) {
      if (!codes.some((code) => hasCode(error, code))) throw error;
    }
  };
  for (let at = 0; at < stored.length; at++) {
    const damaged = stored.slice();
    damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
    await openWith(damaged);
    await openWith(stored.subarray(0, at));
  }
});

test('a huge blob under a small name is not read', async (t) => {
  const { storage } = await created();
  const huge: BlobStorage = {
    ...storage,
    getMetadata: async (id, abort) => ({ ...(await storage.getMetadata(id, abort)), length: 1024 ** 3 }),
  };
  const faulty = createFaultyStorage(t, huge);
  await assert.rejects(openFormat(faulty.storage, 'pw', cheapDeps, signal), { code: 'FORMAT_INVALID' });
  assert.equal(faulty.calls.getBlob, 0);
});

test('failures of the storage come through as they are', async (t) => {
  const { storage } = await created();
  for (const method of ['getMetadata', 'getBlob'] as const) {
    for (const id of [FORMAT_BLOB_ID, BLOB_CONFIG_ID]) {
      const faulty = createFaultyStorage(t, storage);
      faulty.plan({ method, matching: (name) => name === id, error: injectedError() });
      await assert.rejects(openFormat(faulty.storage, 'pw', cheapDeps, signal), { code: 'BLOB_IO' });
    }
  }
});

test('an upgrade lock keeps us out while it holds', async () => {
  const { storage, open } = await created();
  const now = new Date(clock.nowMs()).toISOString();
  const lock = `{"ownerID":"o","creationTime":"${now}","advanceNoticeDuration":3600000000000,"ioDrainTimeout":60000000000}`;
  await rewriteConfig(storage, open, (json) => json.replace('"splitter"', `"upgradeLock":${lock},"splitter"`));
  const announced = await openFormat(storage, 'pw', cheapDeps, signal);
  assert.equal(announced.config.upgradeLock?.ownerId, 'o');
  clock.advance(58 * 60_000);
  await assert.rejects(openFormat(storage, 'pw', cheapDeps, signal), { code: 'REPOSITORY_LOCKED' });
  await assert.rejects(refreshFormat(storage, open, cheapDeps, signal), { code: 'REPOSITORY_LOCKED' });
});

test('required features are warned of or insisted on', async () => {
  const { storage, open } = await created();
  const withFeature = (warn: boolean) => (json: string) =>
    json.replace('"splitter"', `"requiredFeatures":[{"feature":"x","ifNotUnderstood":{"warn":${warn}}}],"splitter"`);
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  await rewriteConfig(storage, open, withFeature(true));
  await openFormat(storage, 'pw', { ...cheapDeps, logger }, signal);
  assert.equal(warnings.length, 1);
  await rewriteConfig(storage, open, withFeature(false));
  await assert.rejects(openFormat(storage, 'pw', cheapDeps, signal), { code: 'FORMAT_UNSUPPORTED' });
});

test('a refresh takes new parameters and keeps keys and algorithms', async () => {
  const { storage, open } = await created();
  const replaced = (json: string): string =>
    json.replace('"maxPackSize":20971520', '"maxPackSize":31457280').replace('BLAKE3-256-128', 'HMAC-SHA256');
  await rewriteConfig(storage, open, replaced);
  const fresh = await refreshFormat(storage, open, cheapDeps, signal);
  assert.equal(fresh.config.maxPackSizeBytes, 31_457_280);
  assert.equal(fresh.config.hash, 'BLAKE3-256-128');
  assert.notDeepEqual(fresh.formatBlobBytes, open.formatBlobBytes);
  const other = await created();
  await assert.rejects(refreshFormat(other.storage, open, cheapDeps, signal), { code: 'FORMAT_INVALID' });
});

test('opening stops when asked to', async () => {
  const { storage } = await created();
  await assert.rejects(openFormat(storage, 'pw', cheapDeps, AbortSignal.abort()), { name: 'AbortError' });
});
