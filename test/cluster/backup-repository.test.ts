// Our controller of BackupRepositories in the place of the server's: the real server, started with --disable-controllers=backup-repo,
// backs up through it; a maintenance Job runs as a pod of the cluster; the server's own command shows what it came to.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupRepository, Job, Pod } from '../../kube/index.ts';
import { agentUnderTest, useNodeAgent } from './node-agent.ts';
import { controllerLog, useOurController, useServersController } from './repository-controller.ts';
import { sharedCluster } from './shared-cluster.ts';
import { variedTree } from './trees.ts';
import { BUCKET, VELERO_NAMESPACE } from './velero.ts';
import { loseNamespace, makeLocalVolume, makeNamespace, makePod } from './workload.ts';

const NAMESPACE = 'kept-by-us';
const NAME = `${NAMESPACE}-default-kopia`;
const PLACE = ['-n', VELERO_NAMESPACE, NAME];

const cluster = await sharedCluster();
before(async () => {
  await useNodeAgent(cluster, agentUnderTest());
  await useOurController(cluster);
});
after(() => useServersController(cluster));

const explain = (): Promise<string> => controllerLog(cluster);

test('a backup of the real server gets its repository from our controller', async () => {
  await makeNamespace(cluster, NAMESPACE);
  variedTree('kept').build(await makeLocalVolume(cluster, NAMESPACE, 'data'));
  await makePod(cluster, { namespace: NAMESPACE, name: 'web', claims: ['data'] });
  await cluster.velero.createBackup(NAMESPACE, [NAMESPACE]);
  const [backup] = await cluster.velero.backupCompleted(NAMESPACE, { explain });
  assert.equal(backup?.status?.phase, 'Completed');
  const { spec, status } = await cluster.kubectl.whenObject<BackupRepository>('backuprepository', PLACE, () => true);
  assert.equal(status?.phase, 'Ready');
  assert.equal(spec.maintenanceFrequency, '1h0m0s');
  assert.ok(existsSync(join(cluster.inside.folder, 's3', BUCKET, 'kopia', NAMESPACE, 'udmrepo.Repository')));
});

test('a Job maintains it, leaves its entry, and the server says so', async () => {
  const spec = { maintenanceFrequency: '1s' };
  await cluster.kubectl.ok(['patch', 'backuprepository', ...PLACE, '--type=merge', '-p', JSON.stringify({ spec })]);
  const maintained = await cluster.kubectl.whenObject<BackupRepository>(
    'backuprepository',
    PLACE,
    ({ status }) => (status?.recentMaintenance?.length ?? 0) > 0,
    { explain },
  );
  spec.maintenanceFrequency = '1h0m0s';
  await cluster.kubectl.ok(['patch', 'backuprepository', ...PLACE, '--type=merge', '-p', JSON.stringify({ spec })]);
  const [entry] = maintained.status?.recentMaintenance ?? [];
  const labels = ['-n', VELERO_NAMESPACE, '-l', `velero.io/repo-name=${NAME}`];
  const [job] = await cluster.kubectl.list<Job>('jobs', ...labels);
  const [pod] = await cluster.kubectl.list<Pod>('pods', ...labels);
  assert.equal(
    entry?.result,
    'Succeeded',
    `${JSON.stringify(entry)}\n${JSON.stringify(pod?.status)}\n${await explain()}`,
  );
  assert.equal(job?.metadata.creationTimestamp, entry?.startTimestamp);
  assert.equal(job?.status?.completionTime, entry?.completeTimestamp);
  const { terminated } = pod?.status?.containerStatuses?.[0]?.state ?? {};
  assert.match(terminated?.message ?? '', /^(full|quick) maintenance: /);
  const shown = await cluster.velero.ok(['repo', 'get', NAME]);
  assert.match(shown, new RegExp(`^${NAME} +Ready +\\d{4}-`, 'm'));
  await loseNamespace(cluster, NAMESPACE);
});
