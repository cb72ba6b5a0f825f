import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { hasCode } from '../../base/errors.ts';
import { systemRandom } from '../../base/random.ts';
import { CHEAP_KEY_ALGORITHM, cheapKeys } from '../../test/harness/cheap-keys.ts';
import { createFaultyStorage, injectedError } from '../../test/harness/faulty-storage.ts';
import type { Fault } from '../../test/harness/faulty-storage.ts';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { createMemoryStorage } from '../blob/memory.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { encodeBlobConfig } from './blob-config.ts';
import { createFormat } from './create-format.ts';
import { BLOB_CONFIG_ID, FORMAT_BLOB_ID, PASSWORD_NOTE_ID, sealFormatPart } from './format-blob.ts';
import { openFormat } from './open-format.ts';
import type { OpenFormat } from './open-format.ts';
import { changePassword, finishPasswordChange, repairPasswordChange } from './password-change.ts';

const clock = createTestClock();
const deps = { clock, random: systemRandom, deriveKey: cheapKeys };
const { signal } = new AbortController();
const RETENTION = { retentionMode: 'COMPLIANCE', retentionPeriodNs: 86_400_000_000_000n, raw: {} };

async function created(retention: boolean): Promise<{ storage: BlobStorage; open: OpenFormat }> {
  const storage = createMemoryStorage({ clock });
  const open = await createFormat(storage, { password: 'old', keyAlgo: CHEAP_KEY_ALGORITHM }, deps, signal);
  if (!retention) return { storage, open };
  const sealed = sealFormatPart(encodeBlobConfig(RETENTION), open.formatKey, open.uniqueId, systemRandom);
  await storage.putBlob(BLOB_CONFIG_ID, sealed, signal);
  return { storage, open: await openFormat(storage, 'old', deps, signal) };
}

async function opens(storage: BlobStorage, password: string): Promise<boolean> {
  try {
    await openFormat(storage, password, deps, signal);
    return true;
  } catch (error) {
    if (hasCode(error, 'PASSWORD_WRONG') || hasCode(error, 'PASSWORD_CHANGE_INCOMPLETE')) return false;
    throw error;
  }
}

/** Every place at which the change can be interrupted: each write, not done or done. */
function interruptions(retention: boolean): readonly Fault[] {
  const writes: readonly Pick<Fault, 'method' | 'skip'>[] = retention
    ? [{ method: 'putBlob' }, { method: 'putBlob', skip: 1 }, { method: 'putBlob', skip: 2 }, { method: 'deleteBlob' }]
    : [{ method: 'deleteBlob' }, { method: 'putBlob' }, { method: 'putBlob', skip: 1 }];
  return writes.flatMap((write) =>
    (['before', 'after'] as const).map((when) => ({ ...write, when, error: injectedError() })),
  );
}

async function interruptedAt(
  t: TestContext,
  fault: Fault,
  retention: boolean,
): Promise<{ storage: BlobStorage; open: OpenFormat }> {
  const { storage, open } = await created(retention);
  const faulty = createFaultyStorage(t, storage);
  faulty.plan(fault);
  await assert.rejects(changePassword(faulty.storage, open, 'new', deps, signal), { code: 'BLOB_IO' });
  return { storage, open };
}

for (const retention of [false, true]) {
  test(`after a change only the new password opens, keys stay (retention ${retention})`, async () => {
    const { storage, open } = await created(retention);
    const changed = await changePassword(storage, open, 'new', deps, signal);
    assert.equal(await opens(storage, 'old'), false);
    const opened = await openFormat(storage, 'new', deps, signal);
    assert.deepEqual(opened, changed);
    assert.deepEqual(opened.config, open.config);
    assert.deepEqual(opened.uniqueId, open.uniqueId);
    assert.equal(opened.blobConfig.retentionMode, retention ? 'COMPLIANCE' : '');
    await storage.getMetadata(BLOB_CONFIG_ID, signal);
    await changePassword(storage, opened, 'old', deps, signal);
    assert.equal(await opens(storage, 'old'), true);
  });
}

test('without retention, one of the two passwords opens at every moment, without repair', async (t) => {
  for (const fault of interruptions(false)) {
    const { storage } = await interruptedAt(t, fault, false);
    const working = (await opens(storage, 'old')) ? 'old' : 'new';
    assert.equal(await opens(storage, working), true, `${fault.when} ${fault.method} ${fault.skip ?? 0}`);
    // And the change can simply be made again.
    await changePassword(storage, await openFormat(storage, working, deps, signal), 'third', deps, signal);
    assert.equal(await opens(storage, 'third'), true);
  }
});

test('with retention, one of the two passwords opens at every moment, and whoever writes finishes the change', async (t) => {
  let finished = 0;
  for (const fault of interruptions(true)) {
    const where = `${fault.when} ${fault.method} ${fault.skip ?? 0}`;
    const { storage } = await interruptedAt(t, fault, true);
    const working = (await opens(storage, 'old')) ? 'old' : 'new';
    const open = await openFormat(storage, working, deps, signal);
    assert.equal(open.blobConfig.retentionMode, 'COMPLIANCE', where);
    assert.equal(open.blobConfig.retentionPeriodNs, RETENTION.retentionPeriodNs, where);
    if (open.interruptedChange === true) finished++;
    const whole = await finishPasswordChange(storage, open, deps, signal);
    // As a client sees it that does not know of notes.
    await storage.deleteBlob(PASSWORD_NOTE_ID, signal);
    assert.deepEqual(await openFormat(storage, working, deps, signal), whole, where);
    assert.equal(await opens(storage, working === 'old' ? 'new' : 'old'), false, where);
    await changePassword(storage, whole, 'third', deps, signal);
    assert.equal(await opens(storage, 'third'), true);
    await assert.rejects(storage.getMetadata(PASSWORD_NOTE_ID, signal), { code: 'BLOB_NOT_FOUND' });
  }
  assert.equal(finished, 2, 'after the put of blobcfg and before that of repository');
});

test('a change that somebody else finishes while it is under way still ends with the new password', async (t) => {
  const { storage, open } = await created(true);
  const faulty = createFaultyStorage(t, storage);
  const finish = async (): Promise<void> => {
    await finishPasswordChange(storage, await openFormat(storage, 'old', deps, signal), deps, signal);
  };
  faulty.plan({ method: 'putBlob', when: 'after', skip: 1, callback: finish });
  const changed = await changePassword(faulty.storage, open, 'new', deps, signal);
  assert.deepEqual(await openFormat(storage, 'new', deps, signal), changed);
});

test('what another client left, without a note, is repaired with both passwords', async () => {
  const { storage, open } = await created(true);
  const before = await storage.getBlob(FORMAT_BLOB_ID, undefined, signal);
  await changePassword(storage, open, 'new', deps, signal);
  await storage.putBlob(FORMAT_BLOB_ID, before, signal);
  await storage.putBlob(PASSWORD_NOTE_ID, new Uint8Array(60), signal);
  for (const password of ['old', 'new']) {
    await assert.rejects(openFormat(storage, password, deps, signal), { code: 'PASSWORD_CHANGE_INCOMPLETE' });
  }
  await assert.rejects(repairPasswordChange(storage, { password: 'new' }, deps, signal), { code: 'PASSWORD_WRONG' });
  const wrongOther = { password: 'old', otherPassword: 'neither' };
  await assert.rejects(repairPasswordChange(storage, wrongOther, deps, signal), { code: 'PASSWORD_WRONG' });
  const fixed = await repairPasswordChange(storage, { password: 'old', otherPassword: 'new' }, deps, signal);
  assert.deepEqual(await openFormat(storage, 'old', deps, signal), fixed);
  assert.equal(fixed.blobConfig.retentionMode, 'COMPLIANCE');
});

test('without the other password a repair turns retention off; an intact repository is left as it is', async () => {
  const { storage, open } = await created(true);
  const before = await storage.getBlob(BLOB_CONFIG_ID, undefined, signal);
  assert.deepEqual(await repairPasswordChange(storage, { password: 'old' }, deps, signal), open);
  assert.deepEqual(await storage.getBlob(BLOB_CONFIG_ID, undefined, signal), before);
  await storage.putBlob(BLOB_CONFIG_ID, new Uint8Array(50), signal);
  assert.equal((await repairPasswordChange(storage, { password: 'old' }, deps, signal)).blobConfig.retentionMode, '');
  assert.equal(await opens(storage, 'old'), true);
  await storage.deleteBlob(BLOB_CONFIG_ID, signal);
  await repairPasswordChange(storage, { password: 'old' }, deps, signal);
});

test('a change is refused where it cannot be, and where someone else was faster', async () => {
  const storage = createMemoryStorage({ clock });
  const version1 = { password: 'old', keyAlgo: CHEAP_KEY_ALGORITHM, version: 1 } as const;
  const old = await createFormat(storage, version1, deps, signal);
  await assert.rejects(changePassword(storage, old, 'new', deps, signal), { code: 'PASSWORD_CHANGE_UNSUPPORTED' });

  const fresh = await created(false);
  await assert.rejects(changePassword(fresh.storage, fresh.open, '', deps, signal), { code: 'PASSWORD_INVALID' });
  await changePassword(fresh.storage, fresh.open, 'theirs', deps, signal);
  const theirs = await fresh.storage.getBlob(FORMAT_BLOB_ID, undefined, signal);
  await assert.rejects(changePassword(fresh.storage, fresh.open, 'ours', deps, signal), {
    code: 'FORMAT_STALE',
    retry: 'after-refresh',
  });
  assert.deepEqual(await fresh.storage.getBlob(FORMAT_BLOB_ID, undefined, signal), theirs);
});
