// Passwords that change between two looks at a repository, which is in a folder.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import type { BackupRepository, BackupStorageLocation, Secrets } from '../../kube/index.ts';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { type CheckResult, Checks } from './checks.ts';

const metadata = { namespace: 'velero', resourceVersion: '1', creationTimestamp: '' };
const view = { place: 'place', access: 'access', isReadOnly: false };
const REKEY_MS = 60_000;

function repositoryOf(volumeNamespace: string): BackupRepository {
  return {
    apiVersion: 'velero.io/v1',
    kind: 'BackupRepository',
    metadata: { ...metadata, uid: volumeNamespace, name: `${volumeNamespace}-default-kopia` },
    spec: { volumeNamespace, backupStorageLocation: 'default', repositoryType: 'kopia', maintenanceFrequency: '1h' },
  };
}

test("a namespace's own new password goes into its repository a minute after it was seen", async (t) => {
  const bucket = scratchFolder(t, 'bucket');
  const location: BackupStorageLocation = {
    apiVersion: 'velero.io/v1',
    kind: 'BackupStorageLocation',
    metadata: { ...metadata, uid: 'location', name: 'default' },
    spec: { provider: 'velero.io/fs', config: { fspath: bucket }, objectStorage: { bucket: 'unused' } },
  };
  const data: Record<string, Record<string, string>> = {
    'velero-repo-credentials': { 'repository-password': 'common' },
    'velero-repo-credentials-demo': { 'repository-password': 'first' },
  };
  const secrets = {
    has: (name: string) => Promise.resolve(data[name] !== undefined),
    value: (name: string, key: string) => Promise.resolve(Buffer.from(data[name]?.[key] ?? '')),
    forget: () => undefined,
  } as unknown as Secrets;
  let laterMs = 0;
  const checks = new Checks({
    secrets,
    clock: { ...systemClock, monotonicMs: () => laterMs },
    random: systemRandom,
    logger: silentLogger,
    environment: {},
    rekeyAfterMs: REKEY_MS,
    perNamespacePasswords: true,
  });
  const look = (volumeNamespace: string): Promise<CheckResult> =>
    checks.run(repositoryOf(volumeNamespace), location, view, true, AbortSignal.timeout(60_000));
  const sealed = (volumeNamespace: string): string =>
    readFileSync(join(bucket, 'kopia', volumeNamespace, 'kopia.repository.f'), 'utf8');

  for (const name of ['demo', 'other'])
    assert.deepEqual(await look(name), { is: 'ready', prepared: { outcome: 'created' } });
  const before = sealed('demo');
  // Long after the start: the common Secret has not changed since, which must not count for the namespace's.
  laterMs = 10 * REKEY_MS;

  data['velero-repo-credentials-demo'] = { 'repository-password': 'second' };
  const wrong = await look('demo');
  assert.equal(wrong.is === 'failed' ? wrong.error.code : wrong.is, 'PASSWORD_WRONG');
  const other = await look('other');
  assert.equal(other.is, 'ready');

  data['velero-repo-credentials-demo'] = { 'repository-password': 'second', 'repository-password-previous': 'first' };
  laterMs += REKEY_MS;
  const early = await look('demo');
  assert.equal(early.is === 'ready' && early.prepared.lacks, 'present-password');
  assert.equal(sealed('demo'), before);
  laterMs += REKEY_MS - 1;
  await look('demo');
  assert.equal(sealed('demo'), before);
  laterMs += 1;
  const late = await look('demo');
  assert.equal(late.is === 'ready' && late.prepared.outcome, 're-keyed');
  assert.notEqual(sealed('demo'), before);

  // Without a Secret of its own the common one counts, which its repository does not have.
  delete data['velero-repo-credentials-demo'];
  const gone = await look('demo');
  assert.equal(gone.is === 'failed' ? gone.error.code : gone.is, 'PASSWORD_WRONG');
});
