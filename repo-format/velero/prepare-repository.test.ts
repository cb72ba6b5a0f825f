// From whatever a repository is in to what Velero uses, and on from wherever an earlier attempt was cut off.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { silentLogger } from '../../base/logger.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import { newStorageStats } from '../index.ts';
import { loadParameters } from '../maintenance/parameters.ts';
import type { LocationStore } from './location-store.ts';
import { openVeleroRepository } from './open-repository.ts';
import { type PrepareOptions, prepareVeleroRepository, type PreparedRepository } from './prepare-repository.ts';

const deps = {
  clock: systemClock,
  random: systemRandom,
  logger: silentLogger,
  environment: {},
  storageStats: newStorageStats(),
};
const { signal } = new AbortController();
const FORMAT = 'kopia.repository.f';
const CONFIG = 'kopia.blobcfg.f';
const VELERO = 'udmrepo.Repository.f';

interface Place {
  readonly path: string;
  readonly located: LocationStore;
  prepare(options?: Partial<PrepareOptions>, readOnly?: boolean): Promise<PreparedRepository>;
  file(name: string): string;
}

function aPlace(t: TestContext): Place {
  const path = join(memoryFolder(t, 'prepare'), 'kopia', 'demo');
  const located: LocationStore = { store: { kind: 'folder', path }, readOnly: false };
  return {
    path,
    located,
    file: (name) => join(path, name),
    prepare: (options = {}, readOnly = false) =>
      prepareVeleroRepository(
        { ...located, readOnly },
        { password: 'one', mayCreate: true, mayRekey: true, ...options },
        deps,
        signal,
      ),
  };
}

const code = (expected: string) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, expected, String(error));
  return true;
};

test('made where there is none, then as it was; nothing is derived while nothing changes', async (t) => {
  const place = aPlace(t);
  assert.deepEqual(await place.prepare({ fullIntervalNs: 6n * 3600n * 1_000_000_000n }), { outcome: 'created' });
  for (const name of [FORMAT, CONFIG, VELERO]) assert.ok(existsSync(place.file(name)), name);
  const { repository } = await openVeleroRepository(place.located, { password: 'one', readOnly: true }, deps, signal);
  const { owner, full } = await loadParameters(repository.manifests, signal);
  await repository.close();
  assert.equal(owner, 'default@default');
  assert.equal(full.intervalNs, 6n * 3600n * 1_000_000_000n);

  const { outcome, seen } = await place.prepare();
  assert.equal(outcome, 'as-it-was');
  const noKeys = { ...deps, deriveKey: () => assert.fail('a key was derived') };
  const options = { password: 'one', mayCreate: false, mayRekey: true, seen };
  assert.deepEqual(await prepareVeleroRepository(place.located, options, noKeys, signal), { outcome, seen });
  // Another password is another matter.
  await assert.rejects(place.prepare({ password: 'two', seen }), code('PASSWORD_WRONG'));
});

test('not made where it may not be, nor where other data is', async (t) => {
  const place = aPlace(t);
  await assert.rejects(place.prepare({ mayCreate: false }), code('REPOSITORY_NOT_FOUND'));
  await assert.rejects(place.prepare({}, true), code('REPOSITORY_NOT_FOUND'));
  assert.ok(!existsSync(place.path));
  await place.prepare();
  rmSync(place.file(FORMAT));
  await assert.rejects(place.prepare(), code('REPOSITORY_EXISTS'));
  assert.ok(existsSync(place.file(CONFIG)), 'nothing beside other data is touched');
});

test('a creation that was cut off goes on', async (t) => {
  const place = aPlace(t);
  await place.prepare();
  // After the format's first blob.
  const config = readFileSync(place.file(CONFIG));
  rmSync(place.path, { recursive: true });
  await assert.rejects(place.prepare({ mayCreate: false }), code('REPOSITORY_NOT_FOUND'));
  await place.prepare();
  rmSync(place.path, { recursive: true });
  await place.prepare();
  // After the format, before it was set up.
  rmSync(place.file(VELERO));
  assert.deepEqual((await place.prepare({}, true)).lacks, 'set-up');
  assert.equal((await place.prepare()).outcome, 'set-up');
  assert.ok(existsSync(place.file(VELERO)));
  const fresh = aPlace(t);
  await fresh.prepare();
  rmSync(fresh.path, { recursive: true });
  mkdirSync(fresh.path, { recursive: true });
  writeFileSync(fresh.file(CONFIG), config);
  assert.equal((await fresh.prepare()).outcome, 'created');
});

test('another repository’s mark is never overwritten', async (t) => {
  const [place, other] = [aPlace(t), aPlace(t)];
  await place.prepare();
  await other.prepare();
  writeFileSync(place.file(VELERO), readFileSync(other.file(VELERO)));
  await assert.rejects(place.prepare(), code('LOCATION_REPOSITORY_MISMATCH'));
});

test('a password is changed where the one before is known, and nothing is where it is not', async (t) => {
  const place = aPlace(t);
  await place.prepare();
  const before = readFileSync(place.file(FORMAT));
  await assert.rejects(place.prepare({ password: 'two' }), code('PASSWORD_WRONG'));
  await assert.rejects(place.prepare({ password: 'two', previousPassword: 'none' }), /neither the password nor/);
  const readOnly = await place.prepare({ password: 'two', previousPassword: 'one' }, true);
  const early = await place.prepare({ password: 'two', previousPassword: 'one', mayRekey: false });
  for (const lacking of [readOnly, early])
    assert.deepEqual(lacking, { outcome: 'as-it-was', lacks: 'present-password' });
  assert.deepEqual(readFileSync(place.file(FORMAT)), before);
  const both = { password: 'two', previousPassword: 'one', readOnly: true };
  await (await openVeleroRepository(place.located, both, deps, signal)).repository.close();

  assert.equal((await place.prepare({ password: 'two', previousPassword: 'one' })).outcome, 're-keyed');
  assert.equal((await place.prepare({ password: 'two', previousPassword: 'one' })).outcome, 'as-it-was');
  assert.equal((await place.prepare({ password: 'two' })).outcome, 'as-it-was');
  await assert.rejects(place.prepare(), code('PASSWORD_WRONG'));
});

test('a change of the password that was cut off goes on', async (t) => {
  const place = aPlace(t);
  await place.prepare();
  const [format, config] = [FORMAT, CONFIG].map((name) => readFileSync(place.file(name)));
  await place.prepare({ password: 'two', previousPassword: 'one' });
  const both = { password: 'two', previousPassword: 'one' };
  // Before the first of its two blobs, between them, after the other.
  writeFileSync(place.file(FORMAT), format ?? '');
  rmSync(place.file(CONFIG));
  assert.equal((await place.prepare(both)).outcome, 're-keyed');
  rmSync(place.file(CONFIG));
  assert.equal((await place.prepare(both)).outcome, 'as-it-was');
  // The order of a repository with retention: the configuration first. Without its note only a repair helps, and it says so.
  writeFileSync(place.file(CONFIG), config ?? '');
  await assert.rejects(place.prepare({ password: 'two' }), code('PASSWORD_CHANGE_INCOMPLETE'));
});
