// How much a real API server and our agents bear without kubelets: objects of many nodes, what their agents follow, and a controller
// that brings every volume through its phases. Prints what it measures. `npm run bench:kube -- [--agents 500] [--objects 20000]
// [--rounds 3] [--moved 1000]`; needs the programs that test/peers pins.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';
import { KINDS, type KubeClient, type PodVolumeBackup } from '../../../kube/index.ts';
import { startApiServer, type ApiServer } from '../../harness/api-server.ts';
import { Child, connectAs, NAMESPACE, PHASES, type Stats } from './protocol.ts';
import { createAdminAccount, type PodAccount } from '../../harness/service-account-folder.ts';
import { requestsSince, type RequestCounts, readRequests } from './requests.ts';

const AGENTS_PER_PROCESS = 100;
const MAKERS = 32;
const WORKERS = 16;
const POLL_MS = 500;

interface Sizes {
  readonly agents: number;
  readonly objects: number;
  readonly rounds: number;
  readonly moved: number;
}

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const rate = (count: number, ms: number): string => `${Math.round(count / (ms / 1000))}/s`;

class Scale {
  readonly #server: ApiServer;
  readonly #client: KubeClient;
  readonly #account: PodAccount;
  readonly #sizes: Sizes;
  #made = 0;

  constructor(server: ApiServer, account: PodAccount, client: KubeClient, sizes: Sizes) {
    this.#account = account;
    this.#server = server;
    this.#client = client;
    this.#sizes = sizes;
  }

  async run(): Promise<void> {
    const { agents, objects } = this.#sizes;
    await this.#client.create(KINDS.namespace, { metadata: { name: NAMESPACE } });
    await inParallel(agents, (at) => this.#client.create(KINDS.node, { metadata: { name: `node-${at}` } }));
    const probe = new Child('agents-child.ts');
    const idle = await this.#untilSynced([probe], { from: 0, to: 1 });
    say('one agent, nothing to do', `${mib(idle.rssBytes)} resident (from source, not bundled)`);
    await this.#walkAll(objects);
    say(`one agent that has followed all of it`, await this.#memoryOf(probe));
    const others = await this.#startAgents(1);
    for (let round = 1; round <= this.#sizes.rounds; round++) await this.#round(round, [probe, ...others]);
    say(`one agent at the end`, await this.#memoryOf(probe));
    for (const child of [probe, ...others]) await child.stop();
  }

  /** All objects through all phases, with one agent that looks on: what the controller does alone. */
  async #walkAll(objects: number): Promise<void> {
    const makeMs = await timed(() => this.#make(objects));
    say(`${objects} PodVolumeBackups made`, `${seconds(makeMs)}, ${rate(objects, makeMs)}`);
    const before = await this.#requests();
    const walker = new Child('walk-child.ts');
    const memory: number[] = [];
    const walkMs = await timed(async () => {
      await walker.ask({ walk: { account: this.#account, workers: WORKERS } });
      await this.#untilCompleted(objects, async () => void memory.push((await walker.ask('stats')).rssBytes));
    });
    const { reconciles, failures, cpuMs } = await walker.ask('stats');
    await walker.stop();
    const writes = objects * PHASES.length;
    say(
      `all through ${PHASES.length} phases, ${WORKERS} workers`,
      `${seconds(walkMs)}, ${rate(writes, walkMs)} writes`,
    );
    say(
      'reconciles',
      `${reconciles}, ${rate(reconciles, walkMs)}, of them ${failures} met a conflict; CPU ${seconds(cpuMs)}`,
    );
    say(
      'memory of the controller',
      `${mib(memory[0] ?? 0)} at first, ${mib(Math.max(...memory))} at most, ${mib(memory.at(-1) ?? 0)} at last`,
    );
    this.#sayRequests(before, await this.#requests(), objects);
  }

  /** The rest of the agents, all at once: the cluster after a power cut. */
  async #startAgents(from: number): Promise<Child[]> {
    const { agents, objects } = this.#sizes;
    const before = await this.#requests();
    const children: Child[] = [];
    const startMs = await timed(async () => {
      for (let at = from; at < agents; at += AGENTS_PER_PROCESS) {
        const child = new Child('agents-child.ts');
        children.push(child);
        await child.ask({
          agents: { account: this.#account, from: at, to: Math.min(agents, at + AGENTS_PER_PROCESS) },
        });
      }
      for (const child of children) await this.#until(child, ({ isSynced, known }) => isSynced && known >= objects);
    });
    say(`${agents - from} more agents follow ${objects} objects`, seconds(startMs));
    this.#sayRequests(before, await this.#requests(), agents - from, 'agent');
    return children;
  }

  /** More objects, moved while all agents look on, and deleted again. */
  async #round(round: number, children: readonly Child[]): Promise<void> {
    const { moved, agents, objects } = this.#sizes;
    const first = this.#made;
    const before = await this.#requests();
    const walker = new Child('walk-child.ts');
    await walker.ask({ walk: { account: this.#account, workers: WORKERS } });
    const ms = await timed(async () => {
      await this.#make(moved);
      for (const child of children) await this.#until(child, ({ completed }) => completed === objects + moved);
    });
    await walker.stop();
    this.#sayRequests(before, await this.#requests(), moved);
    const events = moved * (PHASES.length + 1) * agents;
    await inParallel(moved, (at) => this.#client.delete(KINDS.podVolumeBackup, backupName(first + at)));
    for (const child of children) await this.#until(child, ({ known }) => known === objects);
    const [probe] = children;
    const memory = probe === undefined ? '' : await this.#memoryOf(probe);
    say(
      `round ${round}: ${moved} moved while ${agents} agents follow`,
      `${seconds(ms)}, ${rate(events, ms)} events; one agent ${memory}`,
    );
  }

  async #make(count: number): Promise<void> {
    const first = this.#made;
    this.#made += count;
    await inParallel(count, (at) =>
      this.#client.create(KINDS.podVolumeBackup, aBackup(first + at, this.#sizes.agents)),
    );
  }

  async #untilSynced(children: readonly Child[], of: { readonly from: number; readonly to: number }): Promise<Stats> {
    const [child] = children;
    if (child === undefined) throw new Error('no child');
    await child.ask({ agents: { account: this.#account, ...of } });
    return this.#until(child, ({ isSynced }) => isSynced);
  }

  async #untilCompleted(count: number, look: () => Promise<void>): Promise<void> {
    const watcher = new Child('agents-child.ts');
    await watcher.ask({ agents: { account: this.#account, from: 0, to: 1 } });
    await this.#until(watcher, ({ completed }) => completed === count, look);
    await watcher.stop();
  }

  async #until(
    child: Child,
    condition: (stats: Stats) => boolean,
    look = async (): Promise<void> => undefined,
  ): Promise<Stats> {
    for (;;) {
      const stats = await child.ask('stats');
      await look();
      if (condition(stats)) return stats;
      await delay(POLL_MS);
    }
  }

  async #memoryOf(child: Child): Promise<string> {
    const { rssBytes, cpuMs } = await child.ask('stats');
    return `${mib(rssBytes)} resident, CPU ${seconds(cpuMs)} since its start; ${this.#serverMemory()}`;
  }

  #serverMemory(): string {
    const { apiServer, etcd } = this.#server.pids;
    return `kube-apiserver ${mib(residentBytes(apiServer))}, etcd ${mib(residentBytes(etcd))}`;
  }

  async #requests(): Promise<RequestCounts> {
    return readRequests(await this.#server.kubectl(['get', '--raw=/metrics']));
  }

  #sayRequests(before: RequestCounts, after: RequestCounts, per: number, unit = 'object'): void {
    const counts = [...requestsSince(before, after)].filter(([, count]) => count / per >= 0.05);
    say(`requests for each ${unit}`, counts.map(([name, count]) => `${name} ${(count / per).toFixed(2)}`).join(', '));
  }
}

const backupName = (at: number): { readonly namespace: string; readonly name: string } => ({
  namespace: NAMESPACE,
  name: `backup-${at}`,
});

/** As the server of Velero makes them. */
function aBackup(
  at: number,
  nodes: number,
): Omit<PodVolumeBackup, 'apiVersion' | 'kind' | 'metadata'> & { readonly metadata: object } {
  const uid = `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`;
  return {
    metadata: {
      ...backupName(at),
      labels: { 'velero.io/backup-name': 'nightly', 'velero.io/backup-uid': uid, 'velero.io/pvc-uid': uid },
      annotations: { 'velero.io/pvc-name': `data-${at}` },
    },
    spec: {
      node: `node-${at % nodes}`,
      pod: { kind: 'Pod', namespace: 'apps', name: `pod-${at}`, uid },
      volume: 'data',
      backupStorageLocation: 'default',
      repoIdentifier: '',
      uploaderType: 'kopia',
      tags: {
        backup: 'nightly',
        'backup-uid': uid,
        pod: `pod-${at}`,
        'pod-uid': uid,
        ns: 'apps',
        volume: 'data',
        'pvc-uid': uid,
      },
    },
  };
}

async function inParallel(count: number, work: (at: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: MAKERS }, worker));
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
}

function say(what: string, figure: string): void {
  console.log(`${what}: ${figure}`);
}

const { values } = parseArgs({
  options: {
    agents: { type: 'string', default: '500' },
    objects: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '3' },
    moved: { type: 'string', default: '1000' },
  },
});
const server = await startApiServer();
try {
  await server.applyVeleroCrds();
  const account = await createAdminAccount(server, 'bench');
  const client = await connectAs(account);
  const sizes = { agents: +values.agents, objects: +values.objects, rounds: +values.rounds, moved: +values.moved };
  await new Scale(server, account, client, sizes).run();
  await client.close();
} finally {
  await server.stop();
}
