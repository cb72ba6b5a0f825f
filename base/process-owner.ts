// Names this process so that a later run can tell whether it still lives: what a killed backup left may be taken over, what a
// running one works on may not. In doubt a process counts as alive.
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

export interface ProcessOwners {
  readonly self: string;
  isGone(owner: string): boolean;
}

/** Fields: host, boot, namespace of process ids, process id, start in clock ticks since boot (where the system tells). */
type Owner = readonly [host: string, boot: string, namespace: string, pid: string, start: string];

export function processOwners(): ProcessOwners {
  const here: Owner = [hostname(), bootId(), pidNamespace(), String(process.pid), startTicks('self') ?? ''];
  return { self: here.join('|'), isGone: (owner) => isGone(parseOwner(owner), here) };
}

function isGone(owner: Owner | undefined, here: Owner): boolean {
  if (owner === undefined || owner[0] !== here[0]) return false;
  if (owner[1] !== here[1]) return true; // this machine was started anew since
  if (owner[2] !== here[2]) return false;
  if (here[4] === '') return !answersSignals(Number(owner[3]));
  // A process id may have been given to another process, which started later.
  return startTicks(owner[3]) !== owner[4];
}

function parseOwner(text: string): Owner | undefined {
  const [host, boot, namespace, pid, start, ...rest] = text.split('|');
  if (host === undefined || boot === undefined || namespace === undefined || pid === undefined || start === undefined)
    return undefined;
  return rest.length === 0 && /^\d+$/.test(pid) ? [host, boot, namespace, pid, start] : undefined;
}

function bootId(): string {
  return readOr('', () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
}

function pidNamespace(): string {
  return readOr('', () => readlinkSync('/proc/self/ns/pid'));
}

/** Undefined where there is no such process, or no /proc. */
function startTicks(pid: string): string | undefined {
  const stat = readOr('', () => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  // The second field is the program's name in parentheses and may hold anything; the 22nd is the start.
  return stat === '' ? undefined : stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

function readOr(fallback: string, read: () => string): string {
  try {
    return read();
  } catch {
    // Not on this system, or not for us: the fallback says "unknown".
    return fallback;
  }
}
