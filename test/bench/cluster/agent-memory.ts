// The memory of a node agent, of its children and of the pods that it starts: resident sizes of all their processes, added up again
// and again. Pages that processes share count in each; the proportional sizes, which cost more to ask for, count them once.
import { basename } from 'node:path';
import { readdirSync, readFileSync } from 'node:fs';
import type { Cluster } from '../../cluster/cluster.ts';
import { commandOf, residentBytes } from '../../cluster/host-processes.ts';

const SAMPLE_MS = 150;
/** Every so many samples. */
const PROPORTIONAL_EVERY = 10;
/** A container's first process becomes the program that it runs only after a while. */
const LOOKS = 20;

export interface MemoryPeak {
  readonly rssBytes: number;
  readonly pssBytes: number;
  readonly processes: number;
}

export class AgentMemory {
  readonly #cgroup: string;
  readonly #looks = new Map<number, { times: number; isAgent: boolean }>();
  #timer: NodeJS.Timeout | undefined;
  #samples = 0;
  #peak = { rssBytes: 0, pssBytes: 0, processes: 0 };

  constructor({ inside }: Cluster) {
    this.#cgroup = `/${basename(inside.folder)}/`;
  }

  start(): void {
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  stop(): MemoryPeak {
    clearInterval(this.#timer);
    return this.#peak;
  }

  now(): MemoryPeak {
    const pids = this.#pids();
    return { rssBytes: sum(pids, residentBytes), pssBytes: sum(pids, proportionalBytes), processes: pids.length };
  }

  #sample(): void {
    const pids = this.#pids();
    const isProportional = this.#samples++ % PROPORTIONAL_EVERY === 0;
    this.#peak = {
      rssBytes: Math.max(this.#peak.rssBytes, sum(pids, residentBytes)),
      pssBytes: isProportional ? Math.max(this.#peak.pssBytes, sum(pids, proportionalBytes)) : this.#peak.pssBytes,
      processes: Math.max(this.#peak.processes, pids.length),
    };
  }

  #pids(): number[] {
    const all = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
    const alive = new Set(all);
    for (const pid of this.#looks.keys()) if (!alive.has(pid)) this.#looks.delete(pid);
    return all.filter((pid) => this.#isAgent(pid));
  }

  #isAgent(pid: number): boolean {
    const known = this.#looks.get(pid) ?? { times: 0, isAgent: false };
    if (known.isAgent || known.times >= LOOKS) return known.isAgent;
    const isAgent = isAgentCommand(commandOf(pid)) && read(`/proc/${pid}/cgroup`).includes(this.#cgroup);
    this.#looks.set(pid, { times: known.times + 1, isAgent });
    return isAgent;
  }
}

/** Of Velero's one program: the agent, and what its pods run. The others are the server's. */
const AGENT_COMMANDS: ReadonlySet<string | undefined> = new Set(['node-agent', 'pod-volume', 'data-mover']);

/** The agents and what moves data for them; neither Velero's server nor anybody's init container. */
function isAgentCommand(argv: readonly string[]): boolean {
  if (argv[0] === '/velero') return AGENT_COMMANDS.has(argv[1]);
  return argv.some((word) => word.startsWith('/app/dist/') && !word.includes('restore-helper'));
}

function proportionalBytes(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * 1024;
}

function sum(pids: readonly number[], value: (pid: number) => number): number {
  return pids.reduce((total, pid) => total + value(pid), 0);
}

/** Empty when the process has ended meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
