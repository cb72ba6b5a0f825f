// The controller of BackupRepositories against a real API server, with repositories in a folder. Nothing runs Jobs here: the tests
// end them, or do their work, in the place of the cluster.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { type LogFields, type Logger, silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import type { ControllerFlags } from '../../controller/config/flags.ts';
import { Controller } from '../../controller/controller.ts';
import { maintainRepository } from '../../controller/maintenance/maintain.ts';
import {
  ANNOTATION,
  type BackupRepository,
  type Job,
  KINDS,
  LABEL,
  repositoryLabels,
  type Secret,
} from '../../kube/index.ts';
import { scratchFolder } from '../harness/scratch.ts';
import { freePort } from '../harness/server-process.ts';
import { silentListener } from '../harness/silent-listener.ts';
import { type KubeFixture, startKubeFixture, until } from './fixture.ts';

let fixture: KubeFixture;
before(async () => {
  fixture = await startKubeFixture();
  await fixture.server.applyVeleroCrds();
});
after(() => fixture.close());

const PASSWORD = 'first-password';

interface Place {
  readonly namespace: string;
  readonly bucket: string;
  readonly scratch: string;
  readonly flags: ControllerFlags;
}

/** A namespace as Velero's, with a location in a folder, and the Deployment that Jobs are made like. */
async function aVelero(t: TestContext): Promise<Place> {
  const { admin } = fixture;
  const namespace = await fixture.namespace();
  const [bucket, scratch] = [scratchFolder(t, 'bucket'), scratchFolder(t, 'controller')];
  await admin.create(KINDS.backupStorageLocation, {
    metadata: { namespace, name: 'default' },
    spec: { provider: 'velero.io/fs', config: { fspath: bucket }, objectStorage: { bucket: 'unused' } },
  });
  await setPasswords(namespace, { 'repository-password': PASSWORD });
  const template = (args: readonly string[]) => ({
    selector: { matchLabels: { app: 'x' } },
    template: {
      metadata: { labels: { app: 'x' } },
      spec: {
        serviceAccountName: 'keeper',
        containers: [{ name: 'main', image: 'registry.example/windlass:1', args, env: [{ name: 'A', value: 'b' }] }],
      },
    },
  });
  await admin.create(KINDS.deployment, { metadata: { namespace, name: 'windlass-controller' }, spec: template([]) });
  await admin.create(KINDS.deployment, {
    metadata: { namespace, name: 'velero' },
    spec: template(['server', '--disable-controllers=schedule,backup-repo']),
  });
  const flags: ControllerFlags = {
    namespace,
    logLevel: 'error',
    cacheFolder: join(scratch, 'cache'),
    scratchFolder: scratch,
    perNamespacePasswords: false,
    kubeconfig: undefined,
    deployment: 'windlass-controller',
    serverDeployment: 'velero',
    lease: 'windlass-controller',
    identity: `test-${namespace}`,
    metricsAddress: '127.0.0.1:0',
    maintenanceFrequencyMs: 3600_000,
    maintenanceTimeoutMs: 3600_000,
    maxMaintenanceJobs: 3,
    keptMaintenanceJobs: 3,
    rekeyAfterMs: 1000,
    maintenanceJobConfigMap: undefined,
    repositoryConfigMap: undefined,
  };
  return { namespace, bucket, scratch, flags };
}

async function setPasswords(
  namespace: string,
  passwords: Readonly<Record<string, string>>,
  name = 'velero-repo-credentials',
): Promise<void> {
  const data = Object.fromEntries(
    Object.entries(passwords).map(([key, text]) => [key, Buffer.from(`${text}\n`).toString('base64')]),
  );
  const { admin } = fixture;
  await admin.delete(KINDS.secret, { namespace, name }).catch(() => undefined);
  const draft: Pick<Secret, 'data'> & { metadata: { namespace: string; name: string } } = {
    metadata: { namespace, name },
    data,
  };
  await admin.create(KINDS.secret, draft);
}

async function startController(
  t: TestContext,
  { flags }: Place,
  logger: Logger = silentLogger,
): Promise<() => Promise<void>> {
  const stopped = new AbortController();
  const client = await fixture.connect(t);
  const environment = { AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'secret' };
  const deps = { client, clock: systemClock, random: systemRandom, logger, environment };
  const running = new Controller(flags, deps).run(stopped.signal);
  const stop = async (): Promise<void> => {
    stopped.abort(new DOMException('the test is over', 'AbortError'));
    await running;
  };
  t.after(stop);
  return stop;
}

async function askFor(
  { namespace }: Place,
  volumeNamespace: string,
  more: Partial<BackupRepository['spec']> = {},
  status: NonNullable<BackupRepository['status']> = {},
): Promise<string> {
  const name = `${volumeNamespace}-default-kopia`;
  await fixture.admin.create(KINDS.backupRepository, {
    metadata: { namespace, name, labels: repositoryLabels(volumeNamespace, 'default', 'kopia') },
    status,
    spec: {
      volumeNamespace,
      backupStorageLocation: 'default',
      repositoryType: 'kopia',
      maintenanceFrequency: '0s',
      ...more,
    },
  });
  return name;
}

async function whenRepository(
  { namespace }: Place,
  name: string,
  isWanted: (repository: BackupRepository) => boolean,
): Promise<BackupRepository> {
  let found: BackupRepository | undefined;
  await until(async () => {
    found = await fixture.admin.get(KINDS.backupRepository, { namespace, name });
    return isWanted(found);
  });
  assert.ok(found);
  return found;
}

const isReady = ({ status }: BackupRepository): boolean => status?.phase === 'Ready';
const isNotReady = ({ status }: BackupRepository): boolean => status?.phase === 'NotReady';

async function whenJob({ namespace }: Place, isWanted: (job: Job) => boolean = () => true): Promise<Job> {
  let found: Job | undefined;
  await until(async () => {
    const { items } = await fixture.admin.list(KINDS.job, { namespace, labelSelector: LABEL.repoName });
    found = items.find(isWanted);
    return found !== undefined;
  });
  assert.ok(found);
  return found;
}

/** As the cluster's own controller would. */
/** What the Job of a repository does, here and now. */
function maintain(
  { flags }: Place,
  volumeNamespace: string,
  perNamespacePasswords: boolean,
): ReturnType<typeof maintainRepository> {
  const { namespace, scratchFolder: scratch, cacheFolder } = flags;
  const told = { volumeNamespace, repositoryType: 'kopia', location: 'default', memoryLimitBytes: undefined };
  const options = { namespace, scratchFolder: scratch, cacheFolder, perNamespacePasswords, ...told };
  const deps = {
    client: fixture.admin,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    environment: {},
  };
  return maintainRepository(options, deps, AbortSignal.timeout(60_000));
}

async function endJob({ namespace }: Place, job: Job, outcome: 'succeeded' | 'failed'): Promise<void> {
  const at = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  const condition = (type: string) => ({ type, status: 'True', reason: 'Test', message: 'as the test wants it' });
  const status =
    outcome === 'succeeded'
      ? { succeeded: 1, completionTime: at, conditions: ['SuccessCriteriaMet', 'Complete'].map(condition) }
      : { failed: 1, conditions: ['FailureTarget', 'Failed'].map(condition) };
  const patch = JSON.stringify({ status: { startTime: at, ...status } });
  const flags = ['-n', namespace, 'job', job.metadata.name, '--subresource=status', '--type=merge', '-p', patch];
  await fixture.server.kubectl(['patch', ...flags]);
}

test('a repository that is asked for is made, set up, and Ready with the defaults', async (t) => {
  const place = await aVelero(t);
  await startController(t, place);
  const name = await askFor(place, 'demo');
  const { spec, status } = await whenRepository(place, name, isReady);
  assert.equal(spec.maintenanceFrequency, '1h0m0s');
  assert.equal(status?.message, undefined);
  assert.ok(Date.parse(status?.lastMaintenanceTime ?? '') > Date.now() - 60_000);
  const blobs = readdirSync(join(place.bucket, 'kopia/demo'));
  for (const blob of ['kopia.repository.f', 'kopia.blobcfg.f', 'udmrepo.Repository.f'])
    assert.ok(blobs.includes(blob), blobs.join());
});

test('what is in the way makes it NotReady with the reason, and Ready when it is gone', async (t) => {
  const place = await aVelero(t);
  const folder = join(place.bucket, 'kopia/demo');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'pother.f'), 'of somebody else');
  await startController(t, place);
  const name = await askFor(place, 'demo');
  const { status } = await whenRepository(place, name, isNotReady);
  assert.match(status?.message ?? '', /\[REPOSITORY_EXISTS\]$/);
  rmSync(join(folder, 'pother.f'));
  await whenRepository(place, name, isReady);
});

test('a wrong password makes it NotReady and changes nothing; with the one before, the repository is re-keyed', async (t) => {
  const place = await aVelero(t);
  await startController(t, place);
  const name = await askFor(place, 'demo');
  await whenRepository(place, name, isReady);
  const format = (): string => readFileSync(join(place.bucket, 'kopia/demo/kopia.repository.f'), 'utf8');
  const before = format();

  await setPasswords(place.namespace, { 'repository-password': 'second-password' });
  const { status } = await whenRepository(place, name, isNotReady);
  assert.match(status?.message ?? '', /does not open the repository; nothing was changed; .*\[PASSWORD_WRONG\]$/);
  assert.equal(format(), before);

  await setPasswords(place.namespace, {
    'repository-password': 'second-password',
    'repository-password-previous': PASSWORD,
  });
  const messages = new Set<string | undefined>();
  await whenRepository(place, name, (now) => {
    messages.add(now.status?.message);
    return isReady(now) && format() !== before;
  });
  assert.ok([...messages].some((message) => message?.startsWith('the repository still has the password before')));
  // Without the one before it is as good.
  await setPasswords(place.namespace, { 'repository-password': 'second-password' });
  await setPasswords(place.namespace, { 'repository-password': 'third', 'repository-password-previous': 'fourth' });
  const neither = await whenRepository(place, name, isNotReady);
  assert.match(neither.status?.message ?? '', /neither the password nor the one before it/);
  await setPasswords(place.namespace, { 'repository-password': 'second-password' });
  await whenRepository(place, name, isReady);
});

test("a namespace's own password is its repository's, its maintenance's, and of no other namespace", async (t) => {
  const aPlace = await aVelero(t);
  const place = { ...aPlace, flags: { ...aPlace.flags, perNamespacePasswords: true } };
  await setPasswords(place.namespace, { 'repository-password': 'of demo' }, 'velero-repo-credentials-demo');
  await startController(t, place);
  await askFor(place, 'demo', { maintenanceFrequency: '1s' });
  await askFor(place, 'other');
  for (const name of ['demo', 'other']) await whenRepository(place, `${name}-default-kopia`, isReady);
  const { containers } = ((await whenJob(place)) as Job & { readonly spec: JobSpec }).spec.template.spec;
  assert.ok(containers[0]?.args.includes('--per-namespace-repository-passwords'));

  assert.equal((await maintain(place, 'demo', true)).outcome, 'done');
  assert.equal((await maintain(place, 'other', true)).outcome, 'done');
  await assert.rejects(maintain(place, 'demo', false), { code: 'PASSWORD_WRONG' });
});

test('another place of its location makes it NotReady, then Ready there; a lost repository is made anew', async (t) => {
  const place = await aVelero(t);
  const stop = await startController(t, place);
  const name = await askFor(place, 'demo');
  await whenRepository(place, name, isReady);
  const other = scratchFolder(t, 'other-bucket');
  const phases = new Set<string>();
  const where = { namespace: place.namespace, name: 'default' };
  await fixture.admin.patch(KINDS.backupStorageLocation, where, { spec: { config: { fspath: other } } });
  await whenRepository(place, name, (now) => {
    phases.add(`${now.status?.phase} ${now.status?.message ?? ''}`);
    return isReady(now) && existsSync(join(other, 'kopia/demo/udmrepo.Repository.f'));
  });
  assert.ok(![...phases].some((phase) => phase.includes('[')), [...phases].join());

  await stop();
  rmSync(join(other, 'kopia/demo'), { recursive: true });
  await startController(t, place);
  await whenRepository(place, name, () => existsSync(join(other, 'kopia/demo/udmrepo.Repository.f')));
  await whenRepository(place, name, isReady);
});

test('maintenance: a bounded Job like the Deployment, its entry, and one that somebody deletes', async (t) => {
  const place = await aVelero(t);
  const stop = await startController(t, place);
  const name = await askFor(place, 'demo', { maintenanceFrequency: '1s' });
  await whenRepository(place, name, isReady);
  const job = await whenJob(place);
  const { spec, metadata } = job as Job & { readonly spec: JobSpec };
  assert.match(metadata.name, /^demo-default-kopia-maintain-job-\d+$/);
  assert.equal(metadata.labels?.[LABEL.repoName], name);
  assert.equal(metadata.ownerReferences?.[0]?.name, name);
  assert.equal(spec.activeDeadlineSeconds, 3600);
  assert.equal(spec.backoffLimit, 0);
  const { containers, serviceAccountName, restartPolicy } = spec.template.spec;
  assert.equal(serviceAccountName, 'keeper');
  assert.equal(restartPolicy, 'Never');
  assert.equal(containers[0]?.image, 'registry.example/windlass:1');
  assert.deepEqual(containers[0]?.env, [{ name: 'A', value: 'b' }]);
  const { args } = containers[0] ?? {};
  assert.deepEqual(args?.slice(0, 4), [
    'repo-maintenance',
    '--repo-name=demo',
    '--repo-type=kopia',
    '--backup-storage-location=default',
  ]);

  const report = await maintain(place, 'demo', false);
  assert.equal(report.outcome, 'done');
  await endJob(place, job, 'succeeded');
  const maintained = await whenRepository(place, name, ({ status }) => status?.recentMaintenance?.length === 1);
  const [entry] = maintained.status?.recentMaintenance ?? [];
  assert.equal(entry?.result, 'Succeeded');
  assert.equal(entry?.startTimestamp, metadata.creationTimestamp);
  assert.equal(maintained.status?.lastMaintenanceTime, entry?.completeTimestamp);

  // The next one is deleted while nobody looks.
  const second = await whenJob(place, (other) => other.metadata.uid !== job.metadata.uid);
  await whenRepository(place, name, ({ metadata: { annotations } }) => {
    return annotations?.[ANNOTATION.maintenanceJob]?.startsWith(`${second.metadata.name} `) === true;
  });
  await stop();
  const named = { namespace: place.namespace, name: second.metadata.name };
  await fixture.admin.delete(KINDS.job, named, { propagationPolicy: 'Background', gracePeriodSeconds: 0 });
  await startController(t, place);
  const after = await whenRepository(place, name, ({ status }) => status?.recentMaintenance?.length === 2);
  assert.deepEqual(
    after.status?.recentMaintenance?.map(({ result, message }) => [result, message]),
    [
      ['Succeeded', undefined],
      ['Failed', 'the maintenance Job was deleted before it had ended'],
    ],
  );
  assert.equal(after.metadata.annotations?.[ANNOTATION.maintenanceJob], undefined);
});

interface JobSpec {
  readonly activeDeadlineSeconds: number;
  readonly backoffLimit: number;
  readonly template: {
    readonly spec: {
      readonly serviceAccountName: string;
      readonly restartPolicy: string;
      readonly containers: readonly {
        readonly image: string;
        readonly args: readonly string[];
        readonly env: object;
      }[];
    };
  };
}

test('a Job that fails is recorded with the reason, and not tried again at once', async (t) => {
  const place = await aVelero(t);
  await startController(t, place);
  const name = await askFor(place, 'demo', { maintenanceFrequency: '1s' });
  const job = await whenJob(place);
  await endJob(place, job, 'failed');
  const { status } = await whenRepository(place, name, ({ status: now }) => now?.recentMaintenance?.length === 1);
  assert.equal(status?.recentMaintenance?.[0]?.result, 'Failed');
  assert.equal(status?.recentMaintenance?.[0]?.message, 'Repo maintenance failed: as the test wants it');
  assert.ok(status?.recentMaintenance?.[0]?.completeTimestamp);
});

test('while the Velero server keeps repositories itself nothing is touched', async (t) => {
  const place = await aVelero(t);
  const velero = { namespace: place.namespace, name: 'velero' };
  const template = (args: readonly string[]) => ({
    spec: { template: { spec: { containers: [{ name: 'main', image: 'velero', args }] } } },
  });
  await fixture.admin.patch(KINDS.deployment, velero, template(['server']));
  const stop = await startController(t, place);
  const name = await askFor(place, 'demo');
  const lease = { namespace: place.namespace, name: 'windlass-controller' };
  await until(() =>
    fixture.admin.get(KINDS.lease, lease).then(
      () => true,
      () => false,
    ),
  );
  await stop();
  const { status } = await fixture.admin.get(KINDS.backupRepository, { namespace: place.namespace, name });
  assert.equal(status?.phase, undefined);
});

test('a store that does not answer holds up only its own repositories', async (t) => {
  const place = await aVelero(t);
  const s3Url = await silentListener(t);
  await aLocation(place, 'dead', s3Url);
  const dead: string[] = [];
  for (let n = 0; n < 40; n++) dead.push(await askFor(place, `dead-${n}`, { backupStorageLocation: 'dead' }));
  await startController(t, place);
  const name = await askFor(place, 'demo');
  await whenRepository(place, name, isReady);
  const { status } = await fixture.admin.get(KINDS.backupRepository, {
    namespace: place.namespace,
    name: dead[39] ?? '',
  });
  assert.notEqual(status?.phase, 'Ready');
});

test('a store that is away makes a repository that was Ready not NotReady, and a new one never Ready', async (t) => {
  const place = await aVelero(t);
  await aLocation(place, 'away', `http://127.0.0.1:${await freePort()}`);
  const was = await askFor(place, 'was', { backupStorageLocation: 'away' }, { phase: 'Ready' });
  const fresh = await askFor(place, 'fresh', { backupStorageLocation: 'away' });
  const warnings: string[] = [];
  const logger = {
    ...silentLogger,
    warn: (_message: string, fields?: LogFields) => void warnings.push(String(fields?.['repository'])),
  };
  await startController(t, place, logger);
  const { status } = await whenRepository(place, fresh, isNotReady);
  assert.match(status?.message ?? '', /\[[A-Z_0-9]+\]$/);
  await until(() => warnings.includes(was));
  const now = await fixture.admin.get(KINDS.backupRepository, { namespace: place.namespace, name: was });
  assert.equal(now.status?.phase, 'Ready');
});

async function aLocation({ namespace }: Place, name: string, s3Url: string): Promise<void> {
  await fixture.admin.create(KINDS.backupStorageLocation, {
    metadata: { namespace, name },
    spec: {
      provider: 'aws',
      config: { s3Url, region: 'us-east-1', s3ForcePathStyle: 'true' },
      objectStorage: { bucket: 'bucket' },
    },
  });
}
