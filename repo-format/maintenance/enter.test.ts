// Entering maintenance: who may, what is due, clocks, sessions, the lock; and that each task is recorded as it went.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { systemRandom } from '../../base/random.ts';
import { silentLogger } from '../../base/logger.ts';
import { CHEAP_KEY_ALGORITHM, cheapKeys } from '../../test/harness/cheap-keys.ts';
import { createFaultyStorage, injectedError } from '../../test/harness/faulty-storage.ts';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import { openFilesystemStorage } from '../blob/filesystem.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { systemClock } from '../../base/clock.ts';
import { Repository } from '../repository.ts';
import { runMaintenance, type MaintenanceDeps, type MaintenanceOptions } from './enter.ts';
import {
  DEFAULT_PARAMETERS,
  encodeParameters,
  loadParameters,
  parseParameters,
  storeParameters,
} from './parameters.ts';
import { loadSchedule } from './schedule.ts';

const client = { username: 'user', hostname: 'host' };
const HOUR_NS = 3600n * 1_000_000_000n;

interface World {
  readonly repository: Repository;
  readonly storage: BlobStorage;
  run(options?: Partial<MaintenanceOptions>, deps?: Partial<MaintenanceDeps>): ReturnType<typeof runMaintenance>;
}

async function open(t: TestContext, owner = 'user@host', wrap = (storage: BlobStorage) => storage): Promise<World> {
  const { signal } = t;
  const random = systemRandom;
  const storage = wrap(
    await openFilesystemStorage({ path: memoryFolder(t, 'maintenance'), create: 'current' }, { random }),
  );
  const repository = await Repository.create(
    { storage, password: 'secret', keyAlgo: CHEAP_KEY_ALGORITHM },
    { clock: systemClock, random, deriveKey: cheapKeys },
    signal,
  );
  t.after(() => repository.close());
  await storeParameters(repository.manifests, { ...DEFAULT_PARAMETERS, owner }, signal);
  await repository.flush(signal);
  const run: World['run'] = (options = {}, deps = {}) =>
    runMaintenance(
      repository,
      { mode: 'quick', safety: 'full', dryRun: false, force: false, client, ...options },
      { clock: systemClock, random, logger: silentLogger, ...deps },
      signal,
    );
  return { repository, storage, run };
}

const scheduleOf = ({ storage, repository }: World, t: TestContext) =>
  loadSchedule(storage, repository.format, t.signal);

test('automatic runs do the full cycle first, then nothing until the next is due', async (t) => {
  const world = await open(t);
  const report = await world.run({ mode: 'auto' });
  assert.equal(report.outcome === 'done' && report.mode, 'full');
  assert.deepEqual(await world.run({ mode: 'auto' }), { outcome: 'not-due' });
  const clock = createTestClock(Date.now() + 3_700_000);
  const dry = await world.run({ mode: 'auto', dryRun: true }, { clock });
  assert.equal(dry.outcome === 'planned' && dry.mode, 'quick');
  const { nextFullNs, nextQuickNs } = await scheduleOf(world, t);
  assert.equal(nextFullNs - nextQuickNs, 23n * HOUR_NS);
});

test('who is not the owner is refused, or has nothing to do, unless forced', async (t) => {
  const world = await open(t, 'other@host');
  await assert.rejects(world.run(), { code: 'MAINTENANCE_NOT_OWNER' });
  assert.equal((await scheduleOf(world, t)).runs.size, 0);
  assert.deepEqual(await world.run({ mode: 'auto', force: true }), { outcome: 'not-due' });
  assert.equal((await world.run({ force: true })).outcome, 'done');
  const nobody = await open(t, '');
  await assert.rejects(nobody.run(), { code: 'MAINTENANCE_NOT_OWNER' });
});

test('a dry run writes nothing', async (t) => {
  const world = await open(t, 'user@host');
  const { storage, calls } = createFaultyStorage(t, world.storage);
  const repository = await Repository.open(
    { storage, password: 'secret', readOnly: true },
    { clock: systemClock, random: systemRandom, deriveKey: cheapKeys },
    t.signal,
  );
  const report = await runMaintenance(
    repository,
    { mode: 'full', safety: 'full', dryRun: true, force: false, client },
    { clock: systemClock, random: systemRandom, logger: silentLogger },
    t.signal,
  );
  assert.equal(report.outcome, 'planned');
  assert.deepEqual([calls.putBlob, calls.deleteBlob, calls.commitStaged], [0, 0, 0]);
});

test('clocks that are more than five minutes apart end it before anything is done', async (t) => {
  const world = await open(t);
  for (const skewMs of [-301_000, 301_000]) {
    const clock = createTestClock(Date.now() + skewMs);
    await assert.rejects(world.run({ mode: 'full' }, { clock }), { code: 'MAINTENANCE_CLOCK_SKEW' });
  }
  assert.equal((await scheduleOf(world, t)).runs.size, 0);
  const clock = createTestClock(Date.now() + 200_000);
  assert.equal((await world.run({}, { clock })).outcome, 'done');
});

test('without safety a session marker stops it, unless forced', async (t) => {
  const world = await open(t);
  await world.repository.writeContent('', new Uint8Array(1000), 'none', t.signal);
  await assert.rejects(world.run({ safety: 'none' }), { code: 'MAINTENANCE_SESSION_LIVE' });
  assert.equal((await world.run({ safety: 'full' })).outcome, 'done');
  assert.equal((await world.run({ safety: 'none', force: true })).outcome, 'done');
});

test('when another process is at it, nothing is touched', async (t) => {
  const world = await open(t);
  assert.deepEqual(await world.run({}, { lock: async () => undefined }), { outcome: 'already-running' });
  assert.equal((await scheduleOf(world, t)).runs.size, 0);
  let released = 0;
  const lock = async () => ({ [Symbol.asyncDispose]: async () => void released++ });
  await world.run({}, { lock });
  assert.equal(released, 1);
});

test('a task that fails is recorded with its error, ends the cycle, and nothing after it runs', async (t) => {
  const world = await open(t, 'user@host', (inner) => {
    const faulty = createFaultyStorage(t, inner);
    const error = injectedError('the list is gone');
    faulty.plan({ method: 'listBlobs', matching: (prefix) => prefix === '_', error });
    return faulty.storage;
  });
  await assert.rejects(world.run({ mode: 'full' }), { code: 'BLOB_IO' });
  const { runs } = await scheduleOf(world, t);
  assert.equal(runs.get('cleanup-logs')?.[0]?.error, 'the list is gone');
  assert.equal(runs.get('cleanup-logs')?.[0]?.success, false);
  assert.equal(runs.get('compact-single-epoch')?.[0]?.success, true);
});

test('an interrupt is not recorded as a failure of the task', async (t) => {
  const world = await open(t);
  const controller = new AbortController();
  const run = runMaintenance(
    world.repository,
    { mode: 'full', safety: 'full', dryRun: false, force: false, client },
    {
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      listener: { onTask: (task) => task === 'advance-epoch' && controller.abort() },
    },
    controller.signal,
  );
  await assert.rejects(run, { name: 'AbortError' });
  const { runs } = await scheduleOf(world, t);
  assert.equal(runs.get('compact-single-epoch')?.length, 1);
  assert.equal(runs.get('advance-epoch'), undefined);
  assert.equal((await world.run({ mode: 'full' })).outcome, 'done');
});

test('settings keep members that are not known, and every digit', async (t) => {
  const text =
    '{"owner":"a@b","quick":{"enabled":false,"interval":9223372036854775807,"x":1},"full":{"enabled":true,"interval":1},' +
    '"logRetention":{"maxTotalSize":0,"maxCount":0,"maxAge":0},"extendObjectLocks":true,"listParallelism":3,"y":[2]}';
  assert.equal(encodeParameters(parseParameters(text)), text);
  assert.equal(
    encodeParameters({ ...DEFAULT_PARAMETERS, owner: 'user@host' }),
    '{"owner":"user@host","quick":{"enabled":true,"interval":3600000000000},"full":{"enabled":true,"interval":86400000000000},' +
      '"logRetention":{"maxTotalSize":1073741824,"maxCount":10000,"maxAge":2592000000000000},"extendObjectLocks":false,"listParallelism":0}',
  );
  assert.throws(() => parseParameters('{"owner":1}'), { code: 'MAINTENANCE_PARAMETERS_INVALID' });
  const world = await open(t);
  await storeParameters(world.repository.manifests, parseParameters(text), t.signal);
  assert.equal(encodeParameters(await loadParameters(world.repository.manifests, t.signal)), text);
});
