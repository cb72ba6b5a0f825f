// Puts a node agent into its place, configured as a setup says.
import type { Cluster } from '../../cluster/cluster.ts';
import { useNodeAgent, type NodeAgentName } from '../../cluster/node-agent.ts';
import { VELERO_NAMESPACE } from '../../cluster/velero.ts';
import type { SetupName } from './results.ts';

interface Setup {
  readonly agent: NodeAgentName;
  /** Volumes at a time; the default of node agents, one, when undefined. */
  readonly concurrency?: number;
}

const SETUP: Readonly<Record<SetupName, Setup>> = {
  velero: { agent: 'velero' },
  windlass: { agent: 'windlass' },
  'windlass-4': { agent: 'windlass', concurrency: 4 },
  'velero-4': { agent: 'velero', concurrency: 4 },
};

const CONFIGURATION = 'bench-node-agent';
const FLAG = '--node-agent-configmap=';

export async function useSetup(cluster: Cluster, name: SetupName): Promise<void> {
  const { agent, concurrency } = SETUP[name];
  const { kubectl, velero } = cluster;
  await useNodeAgent(cluster, agent);
  await kubectl.apply({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: CONFIGURATION, namespace: VELERO_NAMESPACE },
    data: { 'node-agent-config.json': JSON.stringify({ loadConcurrency: { globalConfig: concurrency ?? 1 } }) },
  });
  const place = ['-n', VELERO_NAMESPACE, 'daemonset', 'node-agent'];
  const path = '{.spec.template.spec.containers[0].args}';
  const asked = await kubectl.ok(['get', ...place, '-o', `jsonpath=${path}`]);
  const given = (asked === '' ? [] : JSON.parse(asked)) as readonly string[]; // kubectl writes JSON
  const others = given.filter((arg) => !arg.startsWith(FLAG));
  const args = concurrency === undefined ? others : [...others, `${FLAG}${CONFIGURATION}`];
  const patch = JSON.stringify([{ op: 'add', path: '/spec/template/spec/containers/0/args', value: args }]);
  await kubectl.ok(['patch', ...place, '--type=json', '-p', patch]);
  await velero.whenAgentReady();
}
