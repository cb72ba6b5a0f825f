// The Job of a repository's maintenance, what is read from one that has ended, and what the ConfigMap changes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackupRepository, Job, Pod } from '../../kube/index.ts';
import { maintenanceJobConfig } from './maintenance-config.ts';
import { entryOf, FAILURE_MARK, maintenanceJob, viewOfJob } from './maintenance-job.ts';
import { fullIntervalNs, readRepositoryConfig } from './repository-config.ts';

const NOW = Date.parse('2026-01-10T12:00:00Z');
const metadata = { namespace: 'velero', uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-10T11:00:00Z' };

const repository = (name: string): BackupRepository => ({
  apiVersion: 'velero.io/v1',
  kind: 'BackupRepository',
  metadata: { ...metadata, name },
  spec: {
    volumeNamespace: 'demo',
    backupStorageLocation: 'default',
    repositoryType: 'kopia',
    maintenanceFrequency: '1h',
  },
});

const TEMPLATE = {
  metadata: { labels: { app: 'x', 'azure.workload.identity/use': 'true' } },
  spec: {
    serviceAccountName: 'keeper',
    automountServiceAccountToken: true,
    volumes: [{ name: 'scratch', emptyDir: {} }],
    tolerations: [{ key: 'mine', operator: 'Exists' }],
    hostNetwork: true,
    containers: [
      { name: 'controller', image: 'i:1', args: ['--x'], resources: { limits: { memory: '1Gi' } }, livenessProbe: {} },
    ],
  },
};

interface Spec {
  readonly template: {
    readonly metadata: { readonly labels: object };
    readonly spec: { readonly containers: readonly Readonly<Record<string, unknown>>[] } & Readonly<
      Record<string, unknown>
    >;
  };
}

function jobOf(name: string, config = {}) {
  const plan = { template: TEMPLATE, config, command: ['node', 'm.cjs'], args: ['--log-level=info'], deadlineMs: 1500 };
  const job = maintenanceJob({ ...plan, repository: repository(name), nowMs: NOW });
  return { ...job, spec: job.spec as Spec & { readonly activeDeadlineSeconds: number } };
}

test('a Job has of the Deployment what it runs with, and nothing of its probes, network and limits', () => {
  const { spec } = jobOf('demo-default-kopia');
  assert.equal(spec.activeDeadlineSeconds, 2);
  const { containers, tolerations, ...pod } = spec.template.spec;
  assert.deepEqual(pod, {
    serviceAccountName: 'keeper',
    automountServiceAccountToken: true,
    volumes: TEMPLATE.spec.volumes,
    restartPolicy: 'Never',
  });
  assert.deepEqual(tolerations, [
    { key: 'os', operator: 'Equal', value: 'windows', effect: 'NoSchedule' },
    ...TEMPLATE.spec.tolerations,
  ]);
  assert.deepEqual(containers, [
    {
      image: 'i:1',
      name: 'velero-repo-maintenance-container',
      command: ['node', 'm.cjs'],
      args: [
        'repo-maintenance',
        '--repo-name=demo',
        '--repo-type=kopia',
        '--backup-storage-location=default',
        '--log-level=info',
      ],
      imagePullPolicy: 'IfNotPresent',
      terminationMessagePolicy: 'FallbackToLogsOnError',
    },
  ]);
  assert.deepEqual(spec.template.metadata.labels, {
    'velero.io/repo-name': 'demo-default-kopia',
    'azure.workload.identity/use': 'true',
  });
});

test('names that are too long', () => {
  const long = `${'n'.repeat(60)}-default-kopia`;
  const { metadata: made } = jobOf(long);
  assert.equal(made.name, `repo-maintain-job-${NOW}`);
  // SHA3-224 in hex.
  assert.match(made.labels?.['velero.io/repo-name'] ?? '', /^[0-9a-f]{56}$/);
});

test('the ConfigMap: the entry of a repository wins, but not where Velero prefers what is said of all', () => {
  const data = {
    global: JSON.stringify({
      podResources: { cpuRequest: '100m', memoryRequest: '64Mi', cpuLimit: '0', memoryLimit: '1Gi' },
      keepLatestMaintenanceJobs: 5,
      priorityClassName: 'low',
      podLabels: { team: 'a' },
    }),
    'demo-default-kopia': JSON.stringify({
      keepLatestMaintenanceJobs: 2,
      priorityClassName: 'high',
      podAnnotations: { a: 'b' },
      loadAffinity: [
        {
          nodeSelector: {
            matchLabels: { disk: 'ssd' },
            matchExpressions: [{ key: 'zone', operator: 'NotIn', values: ['z'] }],
          },
        },
        {},
      ],
    }),
  };
  const { config, remarks } = maintenanceJobConfig(data, 'demo-default-kopia');
  assert.deepEqual(config, {
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [
            {
              matchExpressions: [
                { key: 'disk', operator: 'In', values: ['ssd'] },
                { key: 'zone', operator: 'NotIn', values: ['z'] },
              ],
            },
          ],
        },
      },
    },
    resources: { requests: { cpu: '100m', memory: '64Mi' }, limits: { memory: '1Gi' } },
    keptJobs: 2,
    priorityClassName: 'low',
    podAnnotations: { a: 'b' },
    podLabels: { team: 'a' },
  });
  assert.deepEqual(remarks, ['only the first element of loadAffinity counts']);
});

test('a ConfigMap that cannot be used changes nothing, and says so', () => {
  const data = { global: '[', 'demo-default-kopia': JSON.stringify({ podResources: { cpuLimit: 'much' } }) };
  const { config, remarks } = maintenanceJobConfig(data, 'demo-default-kopia');
  assert.deepEqual(config, {});
  assert.equal(remarks.length, 2);
});

test('the configuration of repositories', () => {
  assert.equal(readRepositoryConfig({}, 'kopia'), undefined);
  const config = readRepositoryConfig(
    { kopia: '{"cacheLimitMB":2000000,"fullMaintenanceInterval":"fastGC"}' },
    'kopia',
  );
  assert.deepEqual(config, { cacheLimitMB: '2000000', fullMaintenanceInterval: 'fastGC' });
  assert.equal(fullIntervalNs(config), 12n * 3600n * 1_000_000_000n);
  assert.equal(fullIntervalNs(undefined), undefined);
  assert.throws(() => fullIntervalNs({ fullMaintenanceInterval: 'never' }), /none of normalGC, fastGC, eagerGC/);
  for (const text of ['', '[]', '1']) assert.throws(() => readRepositoryConfig({ kopia: text }, 'kopia'), /JSON/);
});

const job = (status: Job['status']): Job => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { ...metadata, name: 'j' },
  spec: {},
  ...(status === undefined ? {} : { status }),
});
const FAILED = {
  failed: 1,
  conditions: [
    {
      type: 'Failed',
      status: 'True',
      message: 'Job has reached the limit',
      lastTransitionTime: '2026-01-10T11:05:00Z',
    },
  ],
};

function podWith(terminated: object): Pod {
  const container = { name: 'c', state: { terminated: { exitCode: 1, ...terminated } } };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, name: 'p' },
    spec: {},
    status: { containerStatuses: [container] },
  };
}

test('how a Job stands', () => {
  const stateOf = (status: Job['status'], deadlineMs = 3_600_000, nowMs = NOW) =>
    viewOfJob(job(status), deadlineMs, nowMs).state;
  assert.equal(stateOf(undefined), 'running');
  assert.equal(stateOf({ active: 1 }), 'running');
  assert.equal(stateOf({ active: 1 }, 3_600_000, NOW + 11 * 60_000), 'overdue');
  assert.equal(stateOf({ conditions: [{ type: 'Complete', status: 'True' }] }), 'succeeded');
  assert.equal(stateOf(FAILED), 'failed');
  // Pods have ended, the Job has not: its time and reason are still to come.
  assert.equal(stateOf({ succeeded: 1, conditions: [{ type: 'SuccessCriteriaMet', status: 'True' }] }), 'running');
  assert.equal(stateOf({ failed: 1, conditions: [{ type: 'FailureTarget', status: 'True' }] }), 'running');
});

test('why a Job has failed: its own words, how its container ended, or what the cluster says', () => {
  const why = (pods: readonly Pod[], status: Job['status'] = FAILED) => {
    const { result, message } = entryOf(job(status), viewOfJob(job(status), 1, NOW), pods, NOW);
    assert.equal(result, 'Failed');
    return message;
  };
  assert.equal(
    why([podWith({ message: `log\n${FAILURE_MARK}the store is full [BLOB_STORE_FULL]\n` })]),
    'the store is full [BLOB_STORE_FULL]',
  );
  assert.equal(why([podWith({ reason: 'OOMKilled' })]), 'Repo maintenance failed: the container ended with OOMKilled');
  assert.equal(why([podWith({ reason: 'Error' })]), 'Repo maintenance failed: Job has reached the limit');
  assert.equal(why([]), 'Repo maintenance failed: Job has reached the limit');
  assert.equal(
    why([], { conditions: [{ type: 'Failed', status: 'True' }] }),
    'Repo maintenance failed but result is not retrieveable',
  );
});

test('an entry has the times of its Job', () => {
  const conditions = [{ type: 'Complete', status: 'True' }];
  const status = { conditions, completionTime: '2026-01-10T11:03:00Z' };
  assert.deepEqual(entryOf(job(status), viewOfJob(job(status), 1, NOW), [], NOW), {
    result: 'Succeeded',
    startTimestamp: metadata.creationTimestamp,
    completeTimestamp: status.completionTime,
  });
  assert.equal(entryOf(job(FAILED), viewOfJob(job(FAILED), 1, NOW), [], NOW).completeTimestamp, '2026-01-10T11:05:00Z');
});
