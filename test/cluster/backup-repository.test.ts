// Our controller of BackupRepositories in the place of the server's: the real server, started with --disable-controllers=backup-repo,
// backs up through it; a maintenance Job runs as a pod of the cluster; the server's own command shows what it came to.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupRepository, Job, MaintenanceEntry, Pod, Secret } from '../../kube/index.ts';
import { agentUnderTest, useNodeAgent } from './node-agent.ts';
import { addControllerFlag, controllerLog, useOurController, useServersController } from './repository-controller.ts';
import { sharedCluster } from './shared-cluster.ts';
import { variedTree } from './trees.ts';
import { BUCKET, VELERO_NAMESPACE } from './velero.ts';
import { waitFor } from './wait.ts';
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

/** Due in a moment, until what comes of it is there. */
async function maintain(isWanted: (entry: MaintenanceEntry) => boolean): Promise<MaintenanceEntry> {
  const setFrequency = async (maintenanceFrequency: string): Promise<void> => {
    const patch = JSON.stringify({ spec: { maintenanceFrequency } });
    await cluster.kubectl.ok(['patch', 'backuprepository', ...PLACE, '--type=merge', '-p', patch]);
  };
  await setFrequency('1s');
  const { status } = await cluster.kubectl.whenObject<BackupRepository>(
    'backuprepository',
    PLACE,
    ({ status: now }) => now?.recentMaintenance?.some(isWanted) === true,
    { explain },
  );
  await setFrequency('1h0m0s');
  return status?.recentMaintenance?.find(isWanted) ?? assert.fail();
}

test('a Job maintains it, leaves its entry, and the server says so', async () => {
  const entry = await maintain(() => true);
  const labels = ['-n', VELERO_NAMESPACE, '-l', `velero.io/repo-name=${NAME}`];
  const [job] = await cluster.kubectl.list<Job>('jobs', ...labels);
  const [pod] = await cluster.kubectl.list<Pod>('pods', ...labels);
  const { terminated } = pod?.status?.containerStatuses?.[0]?.state ?? {};
  assert.equal(entry.result, 'Succeeded', `${JSON.stringify([entry, terminated])}\n${await explain()}`);
  assert.equal(job?.metadata.creationTimestamp, entry.startTimestamp);
  assert.equal(job?.status?.completionTime, entry.completeTimestamp);
  assert.match(terminated?.message ?? '', /^(full|quick) maintenance: /);
  const shown = await cluster.velero.ok(['repo', 'get', NAME]);
  assert.match(shown, new RegExp(`^${NAME} +Ready +\\d{4}-`, 'm'));
});

test('the password is changed in the repository, and backups go on with it', async () => {
  // Agents know of it after 30 s.
  await addControllerFlag(cluster, '--rekey-after=35s');
  const format = (): string =>
    readFileSync(join(cluster.inside.folder, 's3', BUCKET, 'kopia', NAMESPACE, 'kopia.repository'), 'utf8');
  const secret = ['secret', '-n', VELERO_NAMESPACE, 'velero-repo-credentials'];
  const found = await cluster.kubectl.get<Secret>('secret', ...secret.slice(1));
  const first = found?.data?.['repository-password'] ?? assert.fail();
  const second = Buffer.from('second-password').toString('base64');
  const setPasswords = async (present: string, previous: string | null): Promise<void> => {
    const data = { 'repository-password': present, 'repository-password-previous': previous };
    await cluster.kubectl.ok(['patch', ...secret, '--type=merge', '-p', JSON.stringify({ data })]);
  };
  const changeTo = async (present: string, previous: string): Promise<void> => {
    const before = format();
    await setPasswords(present, previous);
    await waitFor('the change of the password', () => (format() === before ? undefined : true), { explain });
    await setPasswords(present, null);
  };
  await changeTo(second, first);
  await cluster.velero.createBackup(`${NAMESPACE}-again`, [NAMESPACE]);
  const [backup] = await cluster.velero.backupCompleted(`${NAMESPACE}-again`, { explain });
  assert.equal(backup?.status?.phase, 'Completed');
  assert.equal(backup?.status?.incrementalBytes ?? 0, 0, 'the chain goes on');
  await changeTo(first, second);
  await cluster.kubectl.whenObject<BackupRepository>(
    'backuprepository',
    PLACE,
    ({ status }) => status?.phase === 'Ready',
  );
});

test('a Job that does not end in time is ended, and the reason recorded', async () => {
  await addControllerFlag(cluster, '--maintenance-timeout=1s');
  const entry = await maintain(({ message = '' }) => message.includes('deadline'));
  assert.equal(entry.message, 'Repo maintenance failed: Job was active longer than specified deadline');
  assert.ok(entry.completeTimestamp);
  await loseNamespace(cluster, NAMESPACE);
});
