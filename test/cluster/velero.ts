// A real Velero in a cluster: installed by its own command, asked by its own command.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeObject } from '../../kube/api/object.ts';
import type { BackupStorageLocation, PodVolumeBackup, PodVolumeRestore } from '../../kube/api/velero.ts';
import { describeResult, type CommandOptions, type CommandResult } from '../harness/run-command.ts';
import type { Inside } from './inside.ts';
import type { Kubectl } from './kubectl.ts';
import { credentialsText, makeBucket, STORE_URL } from './object-store.ts';
import type { WaitOptions } from './wait.ts';

export const VELERO_NAMESPACE = 'velero';
export const BUCKET = 'velero';
const ROLLOUT = '--timeout=180s';

export class Velero {
  readonly #inside: Inside;
  readonly #kubectl: Kubectl;
  readonly #program: string;

  constructor(inside: Inside, kubectl: Kubectl, program: string) {
    this.#inside = inside;
    this.#kubectl = kubectl;
    this.#program = program;
  }

  run(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return this.#inside.run([this.#program, ...args], options);
  }

  async ok(args: readonly string[], options: CommandOptions = {}): Promise<string> {
    const result = await this.run(args, options);
    if (result.code !== 0) throw new Error(describeResult(['velero', ...args], result));
    return result.stdout;
  }

  /** The server, and its own node agent where that is wanted; back when its storage location is available. */
  async install(options: { readonly nodeAgent: boolean }): Promise<void> {
    makeBucket(this.#inside, BUCKET);
    writeFileSync(this.#secretPath(), credentialsText());
    await this.ok(this.#installation(options.nodeAgent));
    await this.whenReady();
    if (options.nodeAgent) await this.whenAgentReady();
  }

  /** The objects that an installation with a node agent consists of. */
  async manifests(): Promise<readonly KubeObject[]> {
    const text = await this.ok([...this.#installation(true), '--dry-run', '--output=json']);
    return (JSON.parse(text) as { readonly items: readonly KubeObject[] }).items;
  }

  #installation(nodeAgent: boolean): string[] {
    const free = ['cpu-request', 'cpu-limit', 'mem-request', 'mem-limit'].map((name) => `--velero-pod-${name}=0`);
    return [
      'install',
      '--plugins=velero/velero-plugin-for-aws:v1.14.3',
      '--provider=aws',
      `--bucket=${BUCKET}`,
      `--secret-file=${this.#secretPath()}`,
      '--use-volume-snapshots=false',
      '--uploader-type=kopia',
      ...free,
      ...(nodeAgent ? ['--use-node-agent'] : []),
      `--backup-location-config=${locationConfiguration(STORE_URL)}`,
    ];
  }

  #secretPath(): string {
    return join(this.#inside.folder, 'credentials');
  }

  async whenReady(): Promise<void> {
    await this.#kubectl.ok(['-n', VELERO_NAMESPACE, 'rollout', 'status', 'deploy/velero', ROLLOUT], {
      timeoutMs: 200_000,
    });
    await this.whenLocationAvailable('default');
  }

  /** A storage location beside the default one. */
  async createLocation(name: string, bucket: string, url = STORE_URL, secret = 'cloud-credentials'): Promise<void> {
    makeBucket(this.#inside, bucket);
    if ((await this.#kubectl.get('backupstoragelocation', '-n', VELERO_NAMESPACE, name)) !== undefined) return;
    await this.ok([
      'backup-location',
      'create',
      name,
      '--provider=aws',
      `--bucket=${bucket}`,
      `--config=${locationConfiguration(url)}`,
      `--credential=${secret}=cloud`,
    ]);
    await this.whenLocationAvailable(name);
  }

  async whenLocationAvailable(name: string): Promise<void> {
    await this.#kubectl.whenObject<BackupStorageLocation>(
      'backupstoragelocation',
      ['-n', VELERO_NAMESPACE, name],
      ({ status }) => status?.phase === 'Available',
    );
  }

  /** Asks the server for a backup of whole namespaces, volumes included. */
  async createBackup(name: string, namespaces: readonly string[], ...flags: readonly string[]): Promise<void> {
    const included = `--include-namespaces=${namespaces.join(',')}`;
    await this.ok(['backup', 'create', name, included, '--default-volumes-to-fs-backup', ...flags]);
  }

  async createRestore(name: string, backup: string, ...flags: readonly string[]): Promise<void> {
    await this.ok(['restore', 'create', name, `--from-backup=${backup}`, ...flags]);
  }

  /** Waits until the server is done with it, in whatever way. */
  whenDone(kind: 'backup' | 'restore', name: string, options: WaitOptions = {}): Promise<Run> {
    return this.#kubectl.whenObject<Run>(
      `${kind}.velero.io`,
      ['-n', VELERO_NAMESPACE, name],
      ({ status }) => !RUNNING.has(status?.phase),
      { timeoutMs: 300_000, explain: () => this.#explain(kind, name), ...options },
    );
  }

  /** The same, and it must have gone well; answers what its volumes came to. */
  async backupCompleted(name: string, options: WaitOptions = {}): Promise<readonly PodVolumeBackup[]> {
    const { status } = await this.whenDone('backup', name, options);
    if (status?.phase !== 'Completed')
      throw new Error(`${JSON.stringify(status)}\n${await this.#explain('backup', name)}`);
    return this.volumeBackups(name);
  }

  async restoreCompleted(name: string, options: WaitOptions = {}): Promise<readonly PodVolumeRestore[]> {
    const { status } = await this.whenDone('restore', name, options);
    if (status?.phase !== 'Completed')
      throw new Error(`${JSON.stringify(status)}\n${await this.#explain('restore', name)}`);
    return this.volumeRestores(name);
  }

  volumeBackups(backup: string): Promise<readonly PodVolumeBackup[]> {
    return this.#kubectl.list('podvolumebackup', '-n', VELERO_NAMESPACE, '-l', `velero.io/backup-name=${backup}`);
  }

  volumeRestores(restore: string): Promise<readonly PodVolumeRestore[]> {
    return this.#kubectl.list('podvolumerestore', '-n', VELERO_NAMESPACE, '-l', `velero.io/restore-name=${restore}`);
  }

  async #explain(kind: 'backup' | 'restore', name: string): Promise<string> {
    const volumes = kind === 'backup' ? await this.volumeBackups(name) : await this.volumeRestores(name);
    const said = await this.run([kind, 'logs', name], { timeoutMs: 30_000 });
    const problems = said.stdout.split('\n').filter((line) => /level=(warning|error)/.test(line));
    const pods = await this.#kubectl.run(['get', 'pods', '-A', '-o', 'wide']);
    return [
      JSON.stringify(volumes.map(({ metadata, status }) => [metadata.name, status])),
      ...problems,
      pods.stdout,
    ].join('\n');
  }

  async whenAgentReady(): Promise<void> {
    await this.#kubectl.ok(['-n', VELERO_NAMESPACE, 'rollout', 'status', 'ds/node-agent', ROLLOUT], {
      timeoutMs: 200_000,
    });
  }
}

/** A backup or a restore, as its server sees it. */
export interface Run extends KubeObject {
  readonly status?: {
    readonly phase?: string;
    readonly errors?: number;
    readonly warnings?: number;
    readonly failureReason?: string;
  };
}

const RUNNING: ReadonlySet<string | undefined> = new Set([
  undefined,
  '',
  'New',
  'Queued',
  'ReadyToStart',
  'InProgress',
  'WaitingForPluginOperations',
  'WaitingForPluginOperationsPartiallyFailed',
  'Finalizing',
  'FinalizingPartiallyFailed',
]);

function locationConfiguration(url: string): string {
  return `region=us-east-1,s3ForcePathStyle=true,s3Url=${url},checksumAlgorithm=`;
}
