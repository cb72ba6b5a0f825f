// A controller that brings every PodVolumeBackup through its phases, one write each, from its cache: the work of all nodes' agents in
// one process, without any data.
import { systemClock } from '../../../base/clock.ts';
import { silentLogger } from '../../../base/logger.ts';
import { systemRandom } from '../../../base/random.ts';
import { guarded, KINDS, nameOfKey, Reflector, runController, WorkQueue, type DataPhase } from '../../../kube/index.ts';
import { connectAs, NAMESPACE, PHASES, serve, type WalkOrder } from './protocol.ts';

let reconciles = 0;
let failures = 0;

async function start({ account, workers }: WalkOrder): Promise<void> {
  const deps = { clock: systemClock, random: systemRandom, logger: silentLogger };
  const client = await connectAs(account);
  const { signal } = new AbortController();
  const queue = new WorkQueue(deps);
  const reflector = new Reflector({ client, kind: KINDS.podVolumeBackup, namespace: NAMESPACE, ...deps });
  reflector.onChange((key) => queue.add(key));
  const reconcile = async (key: string): Promise<undefined> => {
    const now = reflector.store.get(key);
    const next = now === undefined ? undefined : nextPhase(now.status?.phase);
    if (now === undefined || next === undefined) return;
    const progress = { totalBytes: 1_000_000, bytesDone: next === 'Completed' ? 1_000_000 : 0 };
    const merge = guarded({ status: { phase: next, progress } }, now.metadata.resourceVersion);
    await client.patch(KINDS.podVolumeBackup, nameOfKey(key), merge);
  };
  const onReconciled = (_durationMs: number, error: unknown): void => {
    reconciles++;
    if (error !== undefined) failures++;
  };
  void reflector.run(signal);
  void runController({ name: 'walk', queue, workers, reconcile, onReconciled, ...deps }, signal);
}

function nextPhase(phase: DataPhase | undefined): DataPhase | undefined {
  return PHASES[phase === undefined || phase === 'New' ? 0 : PHASES.indexOf(phase as (typeof PHASES)[number]) + 1];
}

serve(async (command) => {
  if (typeof command === 'object' && 'walk' in command) await start(command.walk);
  return { reconciles, failures };
});
