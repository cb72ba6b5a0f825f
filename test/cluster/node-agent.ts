// Which node agent serves the cluster: Velero's own, or ours in its place. Both are a DaemonSet of the same name and labels, which is
// what Velero's server looks for.
import type { KubeObject } from '../../kube/api/object.ts';
import type { Pod } from '../../kube/api/core.ts';
import { CHART, helm } from '../harness/helm.ts';
import type { Cluster } from './cluster.ts';
import { processesOfPod } from './host-processes.ts';
import { AGENT_IMAGE, HELPER_IMAGE } from './images.ts';
import { VELERO_NAMESPACE } from './velero.ts';

export type NodeAgentName = 'velero' | 'windlass';

const NAME = 'node-agent';
const PLACE = ['-n', VELERO_NAMESPACE, NAME];
const SUBJECT = 'WINDLASS_TEST_AGENT';

interface DaemonSet extends KubeObject {
  readonly spec: {
    readonly template: { readonly spec: { readonly containers: readonly ContainerManifest[] } };
  };
}

interface ContainerManifest {
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
}

/** The agent under test: ours, or Velero's own to see that a test is right. */
export function agentUnderTest(): NodeAgentName {
  return process.env[SUBJECT] === 'velero' ? 'velero' : 'windlass';
}

/** Puts this agent into the place of whichever is there, and waits until it runs. */
export async function useNodeAgent(cluster: Cluster, agent: NodeAgentName): Promise<void> {
  const { kubectl, velero } = cluster;
  const serving = await kubectl.get<DaemonSet>('daemonset', ...PLACE);
  const image = serving?.spec.template.spec.containers[0]?.image;
  const ours = await chartManifests();
  const isServing = image !== undefined && (image === AGENT_IMAGE) === (agent === 'windlass');
  if (serving !== undefined && !isServing) {
    await kubectl.ok(['delete', 'daemonset', ...PLACE]);
    await kubectl.whenGone('pods', ['-n', VELERO_NAMESPACE, '-l', `name=${NAME}`]);
  }
  // Again where it is there already: a test before may have taken something of it away.
  if (agent === 'windlass') await kubectl.apply(ours);
  else if (!isServing) {
    await kubectl.ok(['delete', '--ignore-not-found', '-f', '-'], { input: ours });
    await kubectl.apply(await stockDaemonSet(cluster));
  }
  await velero.whenAgentReady();
}

/** The running pod of the agent. */
export async function agentPod({ kubectl }: Cluster): Promise<Pod> {
  const pods = await kubectl.list<Pod>('pods', '-n', VELERO_NAMESPACE, '-l', `name=${NAME}`);
  const pod = pods.find(
    ({ status, metadata }) => status?.phase === 'Running' && metadata.deletionTimestamp === undefined,
  );
  if (pod === undefined) throw new Error(`no running agent among ${pods.length} pods`);
  return pod;
}

/** The agent's own processes, children included, as the machine sees them. */
export async function agentProcesses(cluster: Cluster): Promise<number[]> {
  const pod = await agentPod(cluster);
  const id = pod.status?.containerStatuses?.[0]?.containerID?.replace('containerd://', '');
  return processesOfPod(pod.metadata.uid, id);
}

/** What the agent has said, for the explanation of a failure. */
export async function agentLog({ kubectl }: Cluster): Promise<string> {
  return (await kubectl.run(['-n', VELERO_NAMESPACE, 'logs', `daemonset/${NAME}`, '--tail=-1'])).stdout;
}

/** As `velero install` would make it. */
async function stockDaemonSet({ velero }: Cluster): Promise<DaemonSet> {
  const found = (await velero.manifests()).find(({ kind }) => kind === 'DaemonSet');
  if (found === undefined) throw new Error('velero install makes no DaemonSet');
  return found as DaemonSet; // Velero's own
}

/** Our chart: account, rights and confinement are what its users get. */
function chartManifests(config: object = {}): Promise<string> {
  const values = [chartValues(), `--set-json=agent.config=${JSON.stringify(config)}`];
  return helm(['template', 'windlass', CHART, `--namespace=${VELERO_NAMESPACE}`, ...values]);
}

/** How many volumes our agent, which must be the one that serves, moves at a time; undefined: as if nothing was said. */
export async function setConcurrency({ kubectl, velero }: Cluster, number: number | undefined): Promise<void> {
  const config = number === undefined ? {} : { loadConcurrency: { globalConfig: number } };
  await kubectl.apply(await chartManifests(config));
  await velero.whenAgentReady();
}

/** The images of the tests, in the place of the chart's. */
export function chartValues(): string {
  const images = [...imageValues('image', AGENT_IMAGE), ...imageValues('restoreHelper.image', HELPER_IMAGE)];
  return `--set=${[...images, 'image.pullPolicy=Never'].join(',')}`;
}

function imageValues(member: string, name: string): string[] {
  const [repository, tag] = name.split(':');
  return [`${member}.repository=${repository}`, `${member}.tag=${tag}`];
}
