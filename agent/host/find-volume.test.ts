// On real folders as the kubelet makes them: exactly one plugin has the volume, and names never lead anywhere else.
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { findVolume } from './find-volume.ts';

function kubelet(t: TestContext, ...folders: readonly string[]): string {
  const root = scratchFolder(t, 'pods');
  for (const folder of folders) mkdirSync(join(root, folder), { recursive: true });
  return root;
}

const data = { names: ['data'] };

test('the plugin that has the volume is found, and says whether it is a mount', async (t) => {
  const root = kubelet(
    t,
    'uid/volumes/kubernetes.io~empty-dir/data',
    'uid/volumes/kubernetes.io~empty-dir/other',
    'uid/volumes/kubernetes.io~csi/pv-1/mount',
    'uid/volumes/kubernetes.io~local-volume/pv-2',
    'uid/volumeDevices/kubernetes.io~csi/data',
    'another/volumes/kubernetes.io~nfs/data',
  );
  assert.deepEqual(await findVolume(root, 'uid', data), {
    root,
    names: ['uid', 'volumes', 'kubernetes.io~empty-dir', 'data'],
    isMount: false,
  });
  assert.deepEqual(await findVolume(root, 'uid', { names: ['pv-1', 'mount'] }), {
    root,
    names: ['uid', 'volumes', 'kubernetes.io~csi', 'pv-1', 'mount'],
    isMount: true,
  });
  assert.equal((await findVolume(root, 'uid', { names: ['pv-2'] })).isMount, true);
});

test('what is not there, or there twice, is named as Velero names it and looked for again', async (t) => {
  const root = kubelet(
    t,
    'uid/volumes/kubernetes.io~csi/pv-1',
    'uid/volumes/a~b/twice',
    'uid/volumes/c~d/twice',
    'empty',
  );
  const missing = (count: number, path: string) => ({
    code: 'VOLUME_NOT_FOUND',
    retry: 'transient',
    message: `expected one matching path: ${join(root, path)}, got ${count}`,
  });
  await assert.rejects(findVolume(root, 'uid', { names: ['pv-1', 'mount'] }), missing(0, 'uid/volumes/*/pv-1/mount'));
  await assert.rejects(findVolume(root, 'uid', { names: ['twice'] }), missing(2, 'uid/volumes/*/twice'));
  await assert.rejects(findVolume(root, 'empty', data), missing(0, 'empty/volumes/*/data'));
  await assert.rejects(findVolume(root, 'nobody', data), missing(0, 'nobody/volumes/*/data'));
});

test('a file, or a link to nothing, is no volume', async (t) => {
  const root = kubelet(t, 'uid/volumes/a~b', 'uid/volumes/c~d');
  writeFileSync(join(root, 'uid/volumes/a~b/data'), '');
  symlinkSync('/nowhere', join(root, 'uid/volumes/c~d/data'));
  await assert.rejects(findVolume(root, 'uid', data), { code: 'VOLUME_NOT_FOUND' });
});

test('names that are paths lead nowhere', async (t) => {
  const root = kubelet(t, 'uid/volumes/a~b/data', 'secret');
  for (const name of ['..', '.', '', '../../..', 'a/b', '/etc', 'data/', 'a\0b', '-x', 'x\n'])
    await assert.rejects(findVolume(root, 'uid', { names: [name] }), { code: 'VOLUME_NOT_FOUND', retry: 'never' });
  for (const uid of ['..', '', '../uid', 'uid/../uid'])
    await assert.rejects(findVolume(root, uid, data), { code: 'VOLUME_NOT_FOUND', retry: 'never' });
});
