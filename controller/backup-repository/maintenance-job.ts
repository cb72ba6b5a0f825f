// The Job that maintains a repository once (node-agent §6.4), and what is read from one. Made like the controller's own pods: image,
// account, environment and volumes. Bounded: the cluster ends it at its deadline, whatever it does.
import {
  type BackupRepository,
  type Draft,
  type Job,
  type JobCondition,
  LABEL,
  type MaintenanceEntry,
  type Pod,
  type PodTemplate,
  repositoryNameLabel,
} from '../../kube/index.ts';
import type { MaintenanceJobConfig } from './maintenance-config.ts';
import { timeMs, timeText } from './maintenance-schedule.ts';
import { type JobView, KOPIA, type StartedJob } from './policy.ts';

export interface JobPlan {
  readonly repository: BackupRepository;
  /** Of the Deployment of this controller. */
  readonly template: PodTemplate;
  readonly config: MaintenanceJobConfig;
  /** Node and the program, as they are called in the controller's image. */
  readonly command: readonly string[];
  /** What the program is told besides which repository. */
  readonly args: readonly string[];
  readonly deadlineMs: number;
  readonly nowMs: number;
}

const POD_NAME = 'velero-repo-maintenance-pod';
const CONTAINER_NAME = 'velero-repo-maintenance-container';
const MAX_NAME_LENGTH = 63;
const OF_CONTAINER = ['image', 'env', 'envFrom', 'volumeMounts', 'securityContext'];
const OF_POD = [
  'automountServiceAccountToken',
  'volumes',
  'serviceAccountName',
  'securityContext',
  'imagePullSecrets',
  'nodeSelector',
  'tolerations',
];
/** Which cloud identities hang on. */
const INHERITED_LABEL = 'azure.workload.identity/use';
const INHERITED_ANNOTATION = 'iam.amazonaws.com/role';
const WINDOWS = { key: 'os', operator: 'Equal', value: 'windows', effect: 'NoSchedule' };

export function maintenanceJob(plan: JobPlan): Draft<Job> {
  const { repository, template, config } = plan;
  const { name, namespace, uid } = repository.metadata;
  const labels = { [LABEL.repoName]: repositoryNameLabel(name) };
  const { apiVersion, kind } = repository;
  return {
    metadata: {
      name: jobName(name, plan.nowMs),
      ...(namespace === undefined ? {} : { namespace }),
      labels,
      // Gone with its repository.
      ownerReferences: [{ apiVersion, kind, name, uid }],
    },
    spec: {
      backoffLimit: 0,
      activeDeadlineSeconds: Math.ceil(plan.deadlineMs / 1000),
      template: {
        metadata: {
          name: POD_NAME,
          labels: { ...labels, ...(config.podLabels ?? pick(template.metadata?.labels ?? {}, [INHERITED_LABEL])) },
          annotations: config.podAnnotations ?? pick(template.metadata?.annotations ?? {}, [INHERITED_ANNOTATION]),
        },
        spec: podSpec(plan),
      },
    },
  };
}

function podSpec({ repository, template, config, command, args }: JobPlan): object {
  const { volumeNamespace, repositoryType = KOPIA, backupStorageLocation } = repository.spec;
  const [first = { name: '' }] = template.spec.containers;
  const inherited = pick(template.spec, OF_POD);
  const { tolerations = [] } = inherited as { readonly tolerations?: readonly object[] };
  const { affinity, resources, priorityClassName } = config;
  return {
    ...inherited,
    tolerations: [WINDOWS, ...tolerations],
    restartPolicy: 'Never',
    ...(affinity === undefined ? {} : { affinity }),
    ...(priorityClassName === undefined ? {} : { priorityClassName }),
    containers: [
      {
        ...pick(first, OF_CONTAINER),
        name: CONTAINER_NAME,
        command,
        args: [
          'repo-maintenance',
          `--repo-name=${volumeNamespace}`,
          `--repo-type=${repositoryType}`,
          `--backup-storage-location=${backupStorageLocation}`,
          ...args,
        ],
        imagePullPolicy: 'IfNotPresent',
        terminationMessagePolicy: 'FallbackToLogsOnError',
        ...(resources === undefined ? {} : { resources }),
      },
    ],
  };
}

function jobName(repository: string, nowMs: number): string {
  const name = `${repository}-maintain-job-${nowMs}`;
  return name.length <= MAX_NAME_LENGTH ? name : `repo-maintain-job-${nowMs}`;
}

function pick(from: object, names: readonly string[]): object {
  return Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)));
}

/** The cluster ends Jobs at their deadline; Jobs of others may have none, and a cluster may be slow. */
const OVERDUE_AFTER_MS = 10 * 60_000;

/** Its conditions count: the numbers of its pods come before the reason and the time of its end. */
export function viewOfJob({ metadata, status = {} }: Job, deadlineMs: number, nowMs: number): JobView {
  const startMs = timeMs(metadata.creationTimestamp) ?? 0;
  const { name } = metadata;
  if (condition(status, 'Complete') !== undefined) return { name, startMs, state: 'succeeded' };
  if (condition(status, 'Failed') !== undefined) return { name, startMs, state: 'failed' };
  return { name, startMs, state: nowMs - startMs > deadlineMs + OVERDUE_AFTER_MS ? 'overdue' : 'running' };
}

function condition({ conditions = [] }: NonNullable<Job['status']>, wanted: string): JobCondition | undefined {
  return conditions.find(({ type, status }) => type === wanted && status === 'True');
}

/** Of a Job that has ended. `pods` are its own: they know why. */
export function entryOf(
  { metadata, status = {} }: Job,
  view: JobView,
  pods: readonly Pod[],
  nowMs: number,
): MaintenanceEntry {
  const startTimestamp = metadata.creationTimestamp;
  switch (view.state) {
    case 'succeeded':
      return { result: 'Succeeded', startTimestamp, completeTimestamp: status.completionTime ?? timeText(nowMs) };
    case 'overdue':
    case 'running':
      return failedEntry(startTimestamp, nowMs, 'the maintenance Job has not ended within its deadline');
    case 'failed': {
      const { message, lastTransitionTime } = condition(status, 'Failed') ?? {};
      const told = pods.map(lastWords).find((words) => words !== undefined);
      const why = told ?? (message === undefined ? NO_RESULT : `Repo maintenance failed: ${message}`);
      return failedEntry(startTimestamp, timeMs(lastTransitionTime) ?? nowMs, why);
    }
  }
}

export function lostEntry({ startMs }: StartedJob, nowMs: number): MaintenanceEntry {
  return failedEntry(timeText(startMs), nowMs, 'the maintenance Job was deleted before it had ended');
}

export function notStartedEntry(nowMs: number, reason: string): MaintenanceEntry {
  return failedEntry(timeText(nowMs), nowMs, `Failed to start maintenance job, err: ${reason}`);
}

function failedEntry(startTimestamp: string, endMs: number, message: string): MaintenanceEntry {
  return { result: 'Failed', startTimestamp, completeTimestamp: timeText(endMs), message };
}

export const FAILURE_MARK = 'Repo maintenance error: ';
const NO_RESULT = 'Repo maintenance failed but result is not retrieveable';
const MAX_MESSAGE_LENGTH = 1024;

/** What the container left as its termination message, or how it was ended. */
function lastWords({ status }: Pod): string | undefined {
  const { terminated } = status?.containerStatuses?.[0]?.state ?? {};
  if (terminated === undefined || terminated.exitCode === 0) return undefined;
  const { message = '', reason } = terminated;
  const at = message.lastIndexOf(FAILURE_MARK);
  if (at >= 0)
    return message
      .slice(at + FAILURE_MARK.length)
      .trim()
      .slice(0, MAX_MESSAGE_LENGTH);
  return reason === undefined || reason === 'Error'
    ? undefined
    : `Repo maintenance failed: the container ended with ${reason}`;
}
