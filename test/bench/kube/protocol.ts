// What the processes of the scale benchmark tell each other.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../../base/clock.ts';
import { connectKube, type KubeClient } from '../../../kube/index.ts';
import type { PodAccount } from '../../harness/service-account-folder.ts';

export const NAMESPACE = 'velero';
/** The last of a volume's life, and the writes that lead there. */
export const PHASES = ['Accepted', 'Prepared', 'InProgress', 'Completed'] as const;

export interface AgentsOrder {
  readonly account: PodAccount;
  /** Numbers of nodes. */
  readonly from: number;
  readonly to: number;
}

export interface WalkOrder {
  readonly account: PodAccount;
  readonly workers: number;
}

/** As a pod does. */
export function connectAs({ environment, folder }: PodAccount): Promise<KubeClient> {
  return connectKube({
    userAgent: 'windlass-agent/bench',
    environment,
    serviceAccountFolder: folder,
    clock: systemClock,
  });
}

export type Command = 'stats' | { readonly agents: AgentsOrder } | { readonly walk: WalkOrder };

export interface Stats {
  readonly rssBytes: number;
  readonly cpuMs: number;
  /** Of all agents: have they listed everything? */
  readonly isSynced: boolean;
  /** The fewest objects that one of them knows, and the fewest of those that are Completed. */
  readonly known: number;
  readonly completed: number;
  /** Of the controller. */
  readonly reconciles: number;
  readonly failures: number;
}

export class Child {
  readonly #child: ChildProcess;

  constructor(file: string) {
    this.#child = fork(fileURLToPath(new URL(file, import.meta.url)), {
      stdio: 'inherit',
      execArgv: ['--max-old-space-size=6000'],
    });
  }

  async ask(command: Command): Promise<Stats> {
    this.#child.send(command);
    const [reply] = (await once(this.#child, 'message')) as [Stats];
    return reply;
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.disconnect();
    await exited;
  }
}

export function serve(obey: (command: Command) => Promise<Partial<Stats>>): void {
  const none = { isSynced: true, known: 0, completed: 0, reconciles: 0, failures: 0 };
  const answer = async (command: Command): Promise<Stats> => {
    const stats = await obey(command);
    const { user, system } = process.cpuUsage();
    return { ...none, rssBytes: process.memoryUsage.rss(), cpuMs: (user + system) / 1000, ...stats };
  };
  process.on('message', (command: Command) => void answer(command).then((stats) => process.send?.(stats)));
  process.on('disconnect', () => process.exit());
}
