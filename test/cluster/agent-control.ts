// What happens to an agent besides being asked for backups: held still, killed, looked at.
import { hasCode } from '../../base/errors.ts';
import type { Cluster } from './cluster.ts';
import { commandOf, isAlive, openFiles } from './host-processes.ts';
import { agentPod, agentProcesses } from './node-agent.ts';
import { waitFor } from './wait.ts';

/** While `work` runs the agent sees nothing and does nothing, as one that is overloaded or whose node hangs. */
export async function whileAgentSleeps(cluster: Cluster, work: () => Promise<void>): Promise<void> {
  const pids = await agentProcesses(cluster);
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  try {
    await work();
  } finally {
    for (const pid of pids.filter(isAlive)) process.kill(pid, 'SIGCONT');
  }
}

/** Ends all of its processes at once; back when the kubelet has started it again. */
export async function killAgent(cluster: Cluster): Promise<void> {
  const before = restarts(await agentPod(cluster));
  for (const pid of await agentProcesses(cluster)) kill(pid);
  await waitFor('the agent, started again', async () => {
    const pod = await agentPod(cluster);
    const isUp = pod.status?.containerStatuses?.[0]?.state?.running !== undefined;
    return isUp && restarts(pod) > before ? true : undefined;
  });
}

/** The first of a container takes the others with it: those have ended when it is their turn. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error;
  }
}

/** The data movers that the agent has started, one for each volume that moves. */
export async function dataMovers(cluster: Cluster): Promise<number[]> {
  const pids = await agentProcesses(cluster);
  return pids.filter((pid) => commandOf(pid).some((word) => word.endsWith('/data-mover.cjs')));
}

export async function whenNothingMoves(cluster: Cluster): Promise<void> {
  await waitFor('the end of all data movers', async () =>
    (await dataMovers(cluster)).length === 0 ? true : undefined,
  );
}

/** Holds the data mover still that has the file open, as soon as one does; answers how to let it go on. */
export async function holdWhileReading(cluster: Cluster, fileName: string): Promise<() => void> {
  const pid = await waitFor(
    `a data mover that reads ${fileName}`,
    async () => {
      for (const candidate of await dataMovers(cluster)) {
        process.kill(candidate, 'SIGSTOP');
        if (openFiles(candidate).some((path) => path.endsWith(fileName))) return candidate;
        process.kill(candidate, 'SIGCONT');
      }
      return undefined;
    },
    { everyMs: 5 },
  );
  return () => letGoOn(pid);
}

/** Holds the one data mover still that there is, as soon as there is one; answers how to let it go on. */
export async function holdMover(cluster: Cluster): Promise<() => void> {
  const pid = await waitFor('a data mover', async () => (await dataMovers(cluster))[0], { everyMs: 5 });
  process.kill(pid, 'SIGSTOP');
  return () => letGoOn(pid);
}

/** One that does not end when it is told to is killed in the end. */
function letGoOn(pid: number): void {
  if (isAlive(pid)) process.kill(pid, 'SIGCONT');
}

function restarts({ status }: Awaited<ReturnType<typeof agentPod>>): number {
  return status?.containerStatuses?.[0]?.restartCount ?? 0;
}
