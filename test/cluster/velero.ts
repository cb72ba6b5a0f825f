// A real Velero in a cluster: installed by its own command, asked by its own command.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeResult, type CommandOptions, type CommandResult } from '../harness/run-command.ts';
import type { Inside } from './inside.ts';
import type { Kubectl, KubernetesObject } from './kubectl.ts';
import { credentialsText, makeBucket, STORE_URL } from './object-store.ts';

export const VELERO_NAMESPACE = 'velero';
export const BUCKET = 'velero';
const ROLLOUT = '--timeout=180s';

export interface LocationObject extends KubernetesObject {
  readonly status?: { readonly phase?: string };
}

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
    const secret = join(this.#inside.folder, 'credentials');
    writeFileSync(secret, credentialsText());
    const free = ['cpu-request', 'cpu-limit', 'mem-request', 'mem-limit'].map((name) => `--velero-pod-${name}=0`);
    await this.ok([
      'install',
      '--plugins=velero/velero-plugin-for-aws:v1.14.3',
      '--provider=aws',
      `--bucket=${BUCKET}`,
      `--secret-file=${secret}`,
      '--use-volume-snapshots=false',
      '--uploader-type=kopia',
      ...free,
      ...(options.nodeAgent ? ['--use-node-agent'] : []),
      `--backup-location-config=${locationConfiguration}`,
    ]);
    await this.whenReady();
    if (options.nodeAgent) await this.whenAgentReady();
  }

  async whenReady(): Promise<void> {
    await this.#kubectl.ok(['-n', VELERO_NAMESPACE, 'rollout', 'status', 'deploy/velero', ROLLOUT], {
      timeoutMs: 200_000,
    });
    await this.whenLocationAvailable('default');
  }

  async whenLocationAvailable(name: string): Promise<void> {
    await this.#kubectl.whenObject<LocationObject>(
      'backupstoragelocation',
      ['-n', VELERO_NAMESPACE, name],
      ({ status }) => status?.phase === 'Available',
    );
  }

  async whenAgentReady(): Promise<void> {
    await this.#kubectl.ok(['-n', VELERO_NAMESPACE, 'rollout', 'status', 'ds/node-agent', ROLLOUT], {
      timeoutMs: 200_000,
    });
  }
}

const locationConfiguration = `region=us-east-1,s3ForcePathStyle=true,s3Url=${STORE_URL},checksumAlgorithm=`;
