// Follows the objects of one kind by a watch of its own, which costs next to nothing, and knows when each was first seen and when it
// came to each phase.
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import type { Cluster } from '../../cluster/cluster.ts';
import { entering } from '../../cluster/holder.ts';
import { childrenOf } from '../../cluster/host-processes.ts';
import { VELERO_NAMESPACE } from '../../cluster/velero.ts';
import { waitFor } from '../../cluster/wait.ts';

export interface Followed {
  readonly name: string;
  readonly firstMs: number;
  readonly phases: ReadonlyMap<string, number>;
}

// A tab would become as many blanks as the column needs.
const LINE = '{.metadata.name}{" "}{.status.phase}{"\\n"}';
const UNTIL_WATCHING_MS = 1500;
const HOUR_MS = 3_600_000;

export class Follower {
  readonly #child: ChildProcess;
  readonly #objects = new Map<string, { readonly firstMs: number; readonly phases: Map<string, number> }>();

  private constructor(child: ChildProcess & { readonly stdout: NodeJS.ReadableStream }) {
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => this.#take(line));
  }

  /** Back when objects that are made from now on are seen at once. */
  static async start({ inside, programs }: Cluster, kind: string): Promise<Follower> {
    const watching = ['get', kind, '-n', VELERO_NAMESPACE, '--watch', '-o', `jsonpath=${LINE}`];
    const [program = '', ...args] = entering(inside.holderPid, [join(programs.kubernetes, 'kubectl'), ...watching]);
    const env = { PATH: process.env['PATH'] ?? '', KUBECONFIG: join(inside.folder, 'admin.kubeconfig') };
    const follower = new Follower(spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] }));
    await setTimeout(UNTIL_WATCHING_MS);
    return follower;
  }

  /** Objects whose names begin so. */
  of(prefix: string): readonly Followed[] {
    return [...this.#objects].flatMap(([name, seen]) => (name.startsWith(prefix) ? [{ name, ...seen }] : []));
  }

  /** Waits until the object of this name has come to one of the phases. */
  whenIn(name: string, phases: readonly string[]): Promise<Followed> {
    return waitFor(
      `${name} to be ${phases.join(' or ')}`,
      () => {
        if (this.#child.exitCode !== null) throw new Error(`nobody follows ${name} any more: is the cluster gone?`);
        return this.of(name).find((seen) => seen.name === name && phases.some((phase) => seen.phases.has(phase)));
      },
      { timeoutMs: HOUR_MS, everyMs: 20 },
    );
  }

  stop(): void {
    // What entered the namespaces waits for what runs inside.
    for (const pid of childrenOf(this.#child.pid ?? 0)) process.kill(pid, 'SIGTERM');
  }

  #take(line: string): void {
    const [name = '', phase = ''] = line.split(' ');
    const nowMs = performance.now();
    let seen = this.#objects.get(name);
    if (seen === undefined) this.#objects.set(name, (seen = { firstMs: nowMs, phases: new Map() }));
    if (!seen.phases.has(phase)) seen.phases.set(phase, nowMs);
  }
}
