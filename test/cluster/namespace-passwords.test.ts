// A namespace whose repository has a password of its own: agent, controller and restore by the chart's value, and what the real
// server, which knows one password, then cannot do.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { BackupRepository } from '../../kube/index.ts';
import type { KubeObject } from '../../kube/api/object.ts';
import { CHART, helm } from '../harness/helm.ts';
import { agentLog, chartValues, useNodeAgent } from './node-agent.ts';
import { controllerLog, useOurController, useServersController } from './repository-controller.ts';
import { sharedCluster } from './shared-cluster.ts';
import { describeVolume, variedTree } from './trees.ts';
import { type Run, VELERO_NAMESPACE } from './velero.ts';
import { waitFor } from './wait.ts';
import {
  freshName,
  loseNamespace,
  makeLocalVolume,
  makeNamespace,
  makePod,
  mountedVolume,
  whenRunning,
} from './workload.ts';

const NAMESPACE = freshName('own-password');
const SECRET = `velero-repo-credentials-${NAMESPACE}`;

const cluster = await sharedCluster();
before(async () => {
  await useNodeAgent(cluster, 'windlass');
  await useOurController(cluster);
  const wanted = '--set=controller.enabled=true,repositoryPasswords.perNamespace=true';
  const values = [`--namespace=${VELERO_NAMESPACE}`, chartValues(), wanted];
  await cluster.kubectl.apply(await helm(['template', 'windlass', CHART, ...values]));
  await cluster.velero.whenAgentReady();
  await cluster.kubectl.ok(['-n', VELERO_NAMESPACE, 'rollout', 'status', 'deploy/windlass-controller'], {
    timeoutMs: 200_000,
  });
});
after(async () => {
  await cluster.kubectl.ok(['delete', 'secret', '-n', VELERO_NAMESPACE, SECRET, '--ignore-not-found']);
  await useServersController(cluster);
  await useNodeAgent(cluster, 'windlass');
});

const explain = async (): Promise<string> => `${await controllerLog(cluster)}\n${await agentLog(cluster)}`;

test("a namespace's volumes are backed up and restored under its own password", async () => {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: VELERO_NAMESPACE, name: SECRET },
    stringData: { 'repository-password': 'of this namespace alone' },
  };
  await cluster.kubectl.apply(secret);
  await makeNamespace(cluster, NAMESPACE);
  variedTree('own').build(await makeLocalVolume(cluster, NAMESPACE, 'data'));
  const pod = await makePod(cluster, { namespace: NAMESPACE, name: 'web', claims: ['data'] });
  const source = describeVolume(mountedVolume(cluster, pod, 'data'), 'exact');
  await cluster.velero.createBackup(NAMESPACE, [NAMESPACE]);
  const [backup] = await cluster.velero.backupCompleted(NAMESPACE, { explain });
  assert.equal(backup?.status?.phase, 'Completed');

  await loseNamespace(cluster, NAMESPACE);
  await makeLocalVolume(cluster, NAMESPACE, 'data');
  await cluster.velero.createRestore(NAMESPACE, NAMESPACE);
  await cluster.velero.restoreCompleted(NAMESPACE, { explain });
  const restored = await whenRunning(cluster, NAMESPACE, 'web');
  assert.deepEqual(describeVolume(mountedVolume(cluster, restored, 'data'), 'exact'), source);
});

interface DeleteBackupRequest extends KubeObject {
  readonly status?: { readonly phase?: string; readonly errors?: readonly string[] };
}

test('the server cannot open it to delete a snapshot, and says so', async () => {
  await cluster.velero.ok(['backup', 'delete', NAMESPACE, '--confirm']);
  const labelled = ['-n', VELERO_NAMESPACE, '-l', `velero.io/backup-name=${NAMESPACE}`];
  const errors = await waitFor(
    'the end of the deletion',
    async () => {
      const [request] = await cluster.kubectl.list<DeleteBackupRequest>('deletebackuprequests', ...labelled);
      return request?.status?.phase === 'Processed' ? (request.status.errors ?? []) : undefined;
    },
    { explain },
  );
  assert.match(errors.join(), /error deleting pod volume snapshots: .*invalid repository password/);
  const backup = await cluster.kubectl.get<Run>('backup.velero.io', '-n', VELERO_NAMESPACE, NAMESPACE);
  assert.equal(backup?.status?.phase, 'Deleting');
  // The repository is as it was for whoever knows the password.
  const place = ['-n', VELERO_NAMESPACE, `${NAMESPACE}-default-kopia`];
  const repository = await cluster.kubectl.get<BackupRepository>('backuprepository', ...place);
  assert.equal(repository?.status?.phase, 'Ready');
  // The server would try again for ever.
  await cluster.kubectl.ok(['delete', 'deletebackuprequests', ...labelled]);
  await cluster.kubectl.ok(['delete', 'backup.velero.io', '-n', VELERO_NAMESPACE, NAMESPACE]);
  await loseNamespace(cluster, NAMESPACE);
});
