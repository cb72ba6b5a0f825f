// What /proc says of processes, as the machine sees them: a cluster's own numbers are of another namespace.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export function childrenOf(pid: number): number[] {
  return processes().filter((candidate) => parentOf(candidate) === pid);
}

/** The processes of a pod, or of one of its containers. */
export function processesOfPod(podUid: string, containerId = ''): number[] {
  const belongs = `/pod${podUid}/${containerId}`;
  return processes().filter((pid) => read(`/proc/${pid}/cgroup`).includes(belongs));
}

/** The processes of a cgroup and of all below it, by the group's name. */
export function processesOfGroup(name: string): number[] {
  return processes().filter((pid) => read(`/proc/${pid}/cgroup`).includes(`:/${name}/`));
}

/** The processes that were started with this among their arguments. */
export function processesWith(argument: string): number[] {
  return processes().filter((pid) => commandOf(pid).includes(argument));
}

/** True while the process lives; a zombie has ended. */
export function isAlive(pid: number): boolean {
  const status = read(`/proc/${pid}/stat`);
  return status !== '' && afterName(status)[0] !== 'Z';
}

export function commandOf(pid: number): readonly string[] {
  return read(`/proc/${pid}/cmdline`).split('\0').slice(0, -1);
}

export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
}

/** Its memory, of pages that it shares with others only its share. */
export function memoryBytes(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * 1024;
}

/** The paths of its open files, as it sees them. */
export function openFiles(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => readLink(`/proc/${pid}/fd/${fd}`));
  } catch {
    return []; // it has ended meanwhile
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function parentOf(pid: number): number | undefined {
  const status = read(`/proc/${pid}/stat`);
  return status === '' ? undefined : Number(afterName(status)[1]);
}

/** The fields from the state on: a name may hold anything. */
function afterName(status: string): string[] {
  return status.slice(status.lastIndexOf(')') + 2).split(' ');
}

/** Empty when the process has ended meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
