// The API is asked once for what cannot change while a pod runs.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { KubeClient, Pod } from '../../kube/index.ts';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { VolumeResolver } from './volume-resolver.ts';

const signal = new AbortController().signal;
const meta = (name: string, uid: string) => ({
  name,
  uid,
  namespace: 'demo',
  resourceVersion: '1',
  creationTimestamp: '',
});
const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: meta('web', 'pod-uid'),
  spec: { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'claim' } }] },
};

test('claim and volume are asked for once a minute, an unbound claim each time', async (t) => {
  const hostPods = scratchFolder(t);
  mkdirSync(join(hostPods, 'pod-uid/volumes/kubernetes.io~csi/pv1/mount'), { recursive: true });
  const asked: string[] = [];
  let volumeName = '';
  const client = {
    get: (kind: { readonly kind: string }) => {
      asked.push(kind.kind);
      if (kind.kind === 'PersistentVolume')
        return Promise.resolve({ metadata: meta('pv1', 'pv'), spec: { csi: { driver: 'd' } } });
      return Promise.resolve({ metadata: meta('claim', 'claim-uid'), spec: { volumeName } });
    },
  } as unknown as KubeClient;
  const clock = createTestClock();
  const resolver = new VolumeResolver({ client, clock, hostPods });
  const resolve = () => resolver.resolve(pod, 'data', signal);
  await assert.rejects(resolve, { code: 'VOLUME_NOT_BOUND' });
  volumeName = 'pv1';
  const { place, claim } = await resolve();
  assert.deepEqual(place.names, ['pod-uid', 'volumes', 'kubernetes.io~csi', 'pv1', 'mount']);
  assert.deepEqual(claim, { namespace: 'demo', name: 'claim', uid: 'claim-uid' });
  await resolve();
  assert.deepEqual(asked, ['PersistentVolumeClaim', 'PersistentVolumeClaim', 'PersistentVolume']);
  await clock.sleep(61_000, signal);
  await resolve();
  assert.equal(asked.length, 5);
});
