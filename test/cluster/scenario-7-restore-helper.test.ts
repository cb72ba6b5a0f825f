// Scenario 7: the init container of restored pods, ours and Velero's, behind the markers of either agent: success, failure, deadline,
// a second run as after a reboot, and a volume whose root is closed to it.
import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { KubeObject } from '../../kube/api/object.ts';
import type { Pod } from '../../kube/api/core.ts';
import { hasCode } from '../../base/errors.ts';
import { processesOfPod } from './host-processes.ts';
import { BUSYBOX_IMAGE, HELPER_IMAGE } from './images.ts';
import { agentPod, useNodeAgent } from './node-agent.ts';
import { sharedCluster } from './shared-cluster.ts';
import { describeVolume } from './trees.ts';
import { VELERO_NAMESPACE } from './velero.ts';
import { waitFor } from './wait.ts';
import { freshName, loseNamespace, makeNamespace, makePod, mountedVolume, whenRunning } from './workload.ts';

const NAMESPACE = freshName('helper');
const HELPER_MAP = ['-n', VELERO_NAMESPACE, 'configmap', 'windlass-restore-helper'];
/** Not the helper's, which is 1000 where the workload does not say. */
const OWNER = 999;
const CLOSED = 0o700;
const PODS = ['open', 'closed'];

const cluster = await sharedCluster();
const { kubectl, velero } = cluster;
let source: readonly unknown[];

before(async () => {
  await useNodeAgent(cluster, 'windlass');
  await makeNamespace(cluster, NAMESPACE);
  const pods = await Promise.all(
    PODS.map((name) => makePod(cluster, { namespace: NAMESPACE, name, emptyDirs: ['data'] })),
  );
  for (const pod of pods) writeFileSync(join(volumeOf(pod), 'file'), `of ${pod.metadata.name}`);
  chownSync(volumeOf(pods[1] ?? assert.fail()), OWNER, OWNER);
  chmodSync(volumeOf(pods[1] ?? assert.fail()), CLOSED);
  source = pods.map(contentOf);
  await velero.createBackup(NAMESPACE, [NAMESPACE]);
  await velero.backupCompleted(NAMESPACE);
});

const volumeOf = (pod: Pod): string => mountedVolume(cluster, pod, 'data');
const contentOf = (pod: Pod): unknown => describeVolume(volumeOf(pod), 'stock');
const modeOf = (pod: Pod): number => statSync(volumeOf(pod)).mode & 0o7777;

/** Answers the pods, running. */
async function loseAndRestore(name: string, expected = PODS, ...flags: readonly string[]): Promise<readonly Pod[]> {
  await loseNamespace(cluster, NAMESPACE);
  await velero.createRestore(`${NAMESPACE}-${name}`, NAMESPACE, ...flags);
  await velero.restoreCompleted(`${NAMESPACE}-${name}`);
  const pods = await Promise.all(expected.map((pod) => whenRunning(cluster, NAMESPACE, pod)));
  assert.deepEqual(await waitForModes(pods), source.slice(0, expected.length));
  return pods;
}

/** A root that was opened gets its mode back when the kubelet has told that the helper is over. */
async function waitForModes(pods: readonly Pod[]): Promise<readonly unknown[]> {
  const closed = pods[1];
  if (closed !== undefined)
    await waitFor('the mode of the root', () => (modeOf(closed) === CLOSED ? true : undefined), {
      explain: () => modeOf(closed).toString(8),
    });
  return pods.map(contentOf);
}

function helperImages(pods: readonly Pod[]): string[] {
  return pods.map(({ spec }) => spec.initContainers?.find(({ name }) => name === 'restore-wait')?.image ?? '');
}

/** What the kubelet does after a reboot: the sandbox is gone, all init containers run again. */
async function restartSandbox(pod: Pod): Promise<void> {
  const { namespace = '', name, uid } = pod.metadata;
  for (const pid of processesOfPod(uid)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      // Its namespace's first process took it along.
      if (!hasCode(error, 'ESRCH')) throw error;
    }
  }
  await kubectl.whenObject<Pod>(
    'pod',
    ['-n', namespace, name],
    ({ status }) => {
      const [app] = status?.containerStatuses ?? [];
      return (app?.restartCount ?? 0) > 0 && app?.state?.running !== undefined;
    },
    { timeoutMs: 180_000 },
  );
}

test('our helper with our agent: the pods start, also when the root is closed to it', async () => {
  const pods = await loseAndRestore('ours');
  assert.deepEqual(helperImages(pods), [HELPER_IMAGE, HELPER_IMAGE]);
  const said = await kubectl.ok(['-n', NAMESPACE, 'logs', 'open', '-c', 'restore-wait']);
  assert.match(said, /all volumes are restored \(1\)/);

  // Nobody has to be there for a second run.
  await withoutAgent(() => restartSandbox(pods[0] ?? assert.fail()));
});

async function withoutAgent(work: () => Promise<void>): Promise<void> {
  const place = async (nowhere: string | null): Promise<void> => {
    const patch = JSON.stringify({ spec: { template: { spec: { nodeSelector: { nowhere } } } } });
    await kubectl.ok(['-n', VELERO_NAMESPACE, 'patch', 'daemonset', 'node-agent', '--type=merge', '-p', patch]);
  };
  await place('yes');
  try {
    await kubectl.whenGone('pods', ['-n', VELERO_NAMESPACE, '-l', 'name=node-agent']);
    await work();
  } finally {
    await place(null);
    await waitFor('the agent', async () => ((await agentPod(cluster).catch(() => undefined)) ? true : undefined));
  }
}

test('a restore that fails ends the helper with the reason', async () => {
  const [volume] = (await velero.volumeBackups(NAMESPACE)).filter(({ spec }) => spec.pod.name === 'open');
  const { name } = volume?.metadata ?? assert.fail();
  const change = async (snapshotID: string): Promise<void> => {
    const patch = JSON.stringify({ status: { snapshotID } });
    await kubectl.ok(['-n', VELERO_NAMESPACE, 'patch', 'podvolumebackup', name, '--type=merge', '-p', patch]);
  };
  await change('0123456789abcdef0123456789abcdef');
  await loseNamespace(cluster, NAMESPACE);
  await velero.createRestore(`${NAMESPACE}-failing`, NAMESPACE, '--selector=app=open');
  const { status } = await kubectl.whenObject<Pod>(
    'pod',
    ['-n', NAMESPACE, 'open'],
    (pod) => endOfHelper(pod) !== undefined,
    { timeoutMs: 180_000 },
  );
  const end = endOfHelper({ status } as Pod);
  assert.equal(end?.exitCode, 3);
  assert.match(end?.message ?? '', /^the restore failed: volume data: .*\[[A-Z_]+\] \(PodVolumeRestore /);
  assert.equal((await velero.whenDone('restore', `${NAMESPACE}-failing`)).status?.phase, 'PartiallyFailed');
  await change(volume?.status?.snapshotID ?? '');
});

interface Ended {
  readonly exitCode: number;
  readonly message?: string;
}

function endOfHelper({ status }: Pod): Ended | undefined {
  const [helper] = status?.initContainerStatuses ?? [];
  // The kubelet's own shape, of which the agent reads less.
  return (helper?.state?.terminated ?? helper?.lastState?.terminated) as Ended | undefined;
}

test('nobody restores the volume: at the deadline the helper ends and says what is missing', async () => {
  const uid = '6f1e5c0a-7d1b-4a0e-9d0e-0123456789ab';
  const mount = (path: string): object => ({ volumeMounts: [{ name: 'data', mountPath: path }] });
  await kubectl.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'late', namespace: NAMESPACE },
    spec: {
      restartPolicy: 'Never',
      initContainers: [{ name: 'restore-wait', image: HELPER_IMAGE, args: [uid], ...mount('/restores/data') }],
      containers: [{ name: 'app', image: BUSYBOX_IMAGE, ...mount('/data') }],
      volumes: [{ name: 'data', emptyDir: {} }],
    },
  });
  const place = ['-n', NAMESPACE, 'late'];
  const pod = await kubectl.whenObject<Pod>('pod', place, ({ status }) => {
    return status?.initContainerStatuses?.[0]?.state?.running !== undefined;
  });
  mkdirSync(join(volumeOf(pod), '.velero'));
  writeFileSync(join(volumeOf(pod), '.velero', `${uid}.options`), '{"deadlineSeconds":1}');
  const ended = await kubectl.whenObject<Pod>('pod', place, ({ status }) => status?.phase === 'Failed');
  assert.equal(endOfHelper(ended)?.exitCode, 4);
  assert.match(endOfHelper(ended)?.message ?? '', /^not restored within \d+ s: 1 of 1 volumes: data$/);
});

test("Velero's helper with our agent, a closed root included; then ours with Velero's agent", async () => {
  const map = await kubectl.get<KubeObject>('configmap', '-n', VELERO_NAMESPACE, 'windlass-restore-helper');
  await kubectl.ok(['delete', ...HELPER_MAP]);
  const stock = await loseAndRestore('stock-helper');
  assert.ok(helperImages(stock).every((image) => image.includes('velero/velero')));

  await useNodeAgent(cluster, 'velero');
  const { name, namespace, labels } = map?.metadata ?? assert.fail();
  await kubectl.apply({ ...map, metadata: { name, namespace, labels } });
  const ours = await loseAndRestore('stock-agent', ['open'], '--selector=app=open');
  assert.deepEqual(helperImages(ours), [HELPER_IMAGE]);
  await restartSandbox(ours[0] ?? assert.fail());

  await loseNamespace(cluster, NAMESPACE);
  await useNodeAgent(cluster, 'windlass');
});
