// The table of node-agent §3.2: where the kubelet has the volume of a pod, and what is refused.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PersistentVolume, PersistentVolumeClaim, PodVolume } from '../../kube/index.ts';
import { aPod } from '../../test/harness/pod-volume-objects.ts';
import { type ClaimFacts, claimNameOf, podVolume, volumeDirectory } from './volume-directory.ts';

const MIGRATED_TO = 'pv.kubernetes.io/migrated-to';
const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by';
const EBS = 'ebs.csi.aws.com';
const metadata = { uid: 'uid', resourceVersion: '1', creationTimestamp: '2026-11-20T12:00:00Z' };

function facts(
  spec: PersistentVolume['spec'],
  more: { readonly annotations?: Record<string, string>; readonly claim?: PersistentVolumeClaim['spec'] } = {},
): ClaimFacts {
  const { annotations, claim = { volumeName: 'pv-1' } } = more;
  return {
    claim: {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { ...metadata, name: 'data-db-0', namespace: 'shop' },
      spec: claim,
    },
    volume: {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { ...metadata, name: 'pv-1', ...(annotations === undefined ? {} : { annotations }) },
      spec,
    },
  };
}

const claimed: PodVolume = { name: 'data', persistentVolumeClaim: { claimName: 'data-db-0' } };
const ROWS: readonly (readonly [string, PodVolume, ClaimFacts | undefined, readonly string[]])[] = [
  ['a claim with a CSI volume', claimed, facts({ csi: { driver: EBS } }), ['pv-1', 'mount']],
  ['a claim with a volume of the tree', claimed, facts({}), ['pv-1']],
  ['a claim with a local volume', claimed, facts({ local: { path: '/disk' } }), ['pv-1']],
  [
    'a volume of the tree that a driver has taken over',
    claimed,
    facts({}, { annotations: { [MIGRATED_TO]: EBS } }),
    ['pv-1', 'mount'],
  ],
  [
    'a volume that a driver has made',
    claimed,
    facts({}, { annotations: { [PROVISIONED_BY]: EBS } }),
    ['pv-1', 'mount'],
  ],
  [
    'a volume whose maker is no CSI driver here',
    claimed,
    facts({}, { annotations: { [PROVISIONED_BY]: 'kubernetes.io/aws-ebs' } }),
    ['pv-1'],
  ],
  [
    'a generic ephemeral volume goes by its persistent volume',
    { name: 'tmp', ephemeral: {} },
    facts({ csi: { driver: EBS } }),
    ['pv-1', 'mount'],
  ],
  ['an inline CSI volume', { name: 'data', csi: { driver: EBS } }, undefined, ['data', 'mount']],
  ['an empty folder', { name: 'data', emptyDir: {} }, undefined, ['data']],
  ['NFS in the pod', { name: 'data', nfs: {} }, undefined, ['data']],
];

describe('the folder of a volume', () => {
  for (const [what, volume, known, names] of ROWS) {
    test(what, () => assert.deepEqual(volumeDirectory(volume, known, new Set([EBS])), { names }));
  }
});

const REFUSED: readonly (readonly [string, PodVolume, ClaimFacts | undefined, string, RegExp])[] = [
  ['a folder of the node', { name: 'data', hostPath: { path: '/' } }, undefined, 'VOLUME_UNSUPPORTED', /hostPath/],
  [
    'a persistent volume that is a folder of the node',
    claimed,
    facts({ hostPath: { path: '/d' } }),
    'VOLUME_UNSUPPORTED',
    /persistent volume is a folder/,
  ],
  [
    'a block device by its claim',
    claimed,
    facts({ csi: { driver: EBS } }, { claim: { volumeName: 'pv-1', volumeMode: 'Block' } }),
    'VOLUME_UNSUPPORTED',
    /block device: use CSI snapshot data movement/,
  ],
  [
    'a block device by its volume',
    claimed,
    facts({ csi: { driver: EBS }, volumeMode: 'Block' }),
    'VOLUME_UNSUPPORTED',
    /block device/,
  ],
  ['a claim that is not bound', claimed, facts({}, { claim: {} }), 'VOLUME_NOT_BOUND', /data-db-0 is not bound/],
  [
    'a claim that says that it is bound to nothing',
    claimed,
    facts({}, { claim: { volumeName: '' } }),
    'VOLUME_NOT_BOUND',
    /not bound/,
  ],
];

describe('a volume that is refused', () => {
  for (const [what, volume, known, code, message] of REFUSED) {
    test(what, () => {
      const retry = code === 'VOLUME_NOT_BOUND' ? 'transient' : 'never';
      assert.throws(() => volumeDirectory(volume, known, new Set()), { code, retry, message });
    });
  }
});

test('the claim of a volume is that of its name, or one of its own', () => {
  const pod = aPod();
  assert.equal(claimNameOf(pod, claimed), 'data-db-0');
  assert.equal(claimNameOf(pod, { name: 'tmp', ephemeral: {} }), 'db-0-tmp');
  assert.equal(claimNameOf(pod, { name: 'cache', emptyDir: {} }), undefined);
});

test('a volume that the pod does not have is no folder to look for', () => {
  assert.deepEqual(podVolume(aPod(), 'data'), { name: 'data', emptyDir: {} });
  assert.throws(() => podVolume(aPod(), 'other'), {
    code: 'VOLUME_UNKNOWN',
    retry: 'never',
    message: /shop\/db-0 has no volume other/,
  });
});
