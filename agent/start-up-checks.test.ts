import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../base/logger.ts';
import { aPod } from '../test/harness/pod-volume-objects.ts';
import { scratchFolder } from '../test/harness/scratch.ts';
import { checkHostPods } from './start-up-checks.ts';

test('every running pod has its folder: ordinary ones by UID, static ones by the hash of their file', async (t) => {
  const folder = scratchFolder(t, 'pods');
  for (const name of ['pod-uid', 'hash']) mkdirSync(join(folder, name));
  const fixed = aPod({ metadata: { uid: 'mirror', annotations: { 'kubernetes.io/config.mirror': 'hash' } } });
  const pending = aPod({ metadata: { uid: 'pending' }, status: { phase: 'Pending' } });
  assert.equal(await checkHostPods(folder, [aPod(), fixed, pending], silentLogger), undefined);
});

test('a folder that is not the kubelet’s is said, and keeps nothing from starting', async (t) => {
  const folder = scratchFolder(t, 'pods');
  const missing = [aPod(), aPod({ metadata: { name: 'db-1', uid: 'other' } })];
  assert.match((await checkHostPods(folder, missing, silentLogger)) ?? '', /2 running pods .* for example shop\/db-0/);
  assert.match((await checkHostPods(join(folder, 'none'), [], silentLogger)) ?? '', /does not exist/);
});
