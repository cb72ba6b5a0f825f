// What node agents follow in a cluster, each with a client of its own: many in one process, for their load, or one, for its memory.
import { systemClock } from '../../../base/clock.ts';
import { silentLogger } from '../../../base/logger.ts';
import { systemRandom } from '../../../base/random.ts';
import { ClusterView } from '../../../agent/cluster-view.ts';
import { connectAs, NAMESPACE, serve, type AgentsOrder } from './protocol.ts';

const views: ClusterView[] = [];
let synced = 0;

async function start({ account, from, to }: AgentsOrder): Promise<void> {
  const deps = { clock: systemClock, random: systemRandom, logger: silentLogger };
  const { signal } = new AbortController();
  for (let node = from; node < to; node++) {
    const client = await connectAs(account);
    const view = new ClusterView({
      ...deps,
      client,
      namespace: NAMESPACE,
      nodeName: `node-${node}`,
      configMap: undefined,
    });
    views.push(view);
    void view.run(signal);
    void view.whenSynced(signal).then(() => synced++);
  }
}

serve(async (command) => {
  if (typeof command === 'object' && 'agents' in command) await start(command.agents);
  const stores = views.map(({ backups }) => backups.store);
  const isDone = (phase: string | undefined): boolean => phase === 'Completed';
  const completed = stores.map((store) => store.list().filter(({ status }) => isDone(status?.phase)).length);
  return {
    isSynced: synced === views.length,
    known: Math.min(...stores.map(({ size }) => size)),
    completed: Math.min(...completed),
  };
});
