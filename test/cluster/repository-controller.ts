// Who keeps the repositories of the cluster: Velero's server, as it is installed, or our controller in its place.
import type { KubeObject } from '../../kube/api/object.ts';
import { CHART, helm } from '../harness/helm.ts';
import type { Cluster } from './cluster.ts';
import { AGENT_IMAGE } from './images.ts';
import { VELERO_NAMESPACE } from './velero.ts';

const SERVER = ['-n', VELERO_NAMESPACE, 'deployment/velero'];
const CONTROLLER = ['-n', VELERO_NAMESPACE, 'deployment/windlass-controller'];
const ARGS = '/spec/template/spec/containers/0/args';
const ROLLOUT = '--timeout=180s';

interface Deployment extends KubeObject {
  readonly spec: {
    readonly template: { readonly spec: { readonly containers: readonly { readonly args: string[] }[] } };
  };
}

/** The server is started without its own controller, and ours is installed by our chart, under the chart's role. */
export async function useOurController(cluster: Cluster): Promise<void> {
  await setServerArgs(cluster, (args) => [...args, '--disable-controllers=backup-repo']);
  const [repository = '', tag = ''] = AGENT_IMAGE.split(':');
  const values = [
    'controller.enabled=true',
    `image.repository=${repository}`,
    `image.tag=${tag}`,
    'image.pullPolicy=Never',
  ];
  const template = ['template', 'windlass', CHART, '--show-only=templates/controller.yaml'];
  await cluster.kubectl.apply(await helm([...template, `--namespace=${VELERO_NAMESPACE}`, `--set=${values.join()}`]));
  await whenControllerReady(cluster);
}

/** Started anew with one flag more; the lease goes from one to the other. */
export async function addControllerFlag(cluster: Cluster, flag: string): Promise<void> {
  const patch = [{ op: 'add', path: `${ARGS}/-`, value: flag }];
  await cluster.kubectl.ok(['patch', ...CONTROLLER, '--type=json', '-p', JSON.stringify(patch)]);
  await whenControllerReady(cluster);
}

async function whenControllerReady({ kubectl }: Cluster): Promise<void> {
  await kubectl.ok(['rollout', 'status', ...CONTROLLER, ROLLOUT], { timeoutMs: 200_000 });
}

/** As it was. */
export async function useServersController(cluster: Cluster): Promise<void> {
  await cluster.kubectl.ok(['delete', ...CONTROLLER, '--ignore-not-found']);
  await cluster.kubectl.whenGone('pods', ['-n', VELERO_NAMESPACE, '-l', 'name=windlass-controller']);
  await setServerArgs(cluster, (args) => args.filter((arg) => !arg.startsWith('--disable-controllers')));
}

/** What our controller has said, for the explanation of a failure. */
export async function controllerLog({ kubectl }: Cluster): Promise<string> {
  return (await kubectl.run(['logs', ...CONTROLLER, '--tail=100'])).stdout;
}

async function setServerArgs(
  { kubectl, velero }: Cluster,
  change: (args: readonly string[]) => string[],
): Promise<void> {
  const now = await kubectl.get<Deployment>('deployment', '-n', VELERO_NAMESPACE, 'velero');
  const args = now?.spec.template.spec.containers[0]?.args ?? [];
  const patch = [{ op: 'replace', path: ARGS, value: change(args) }];
  await kubectl.ok(['patch', ...SERVER, '--type=json', '-p', JSON.stringify(patch)]);
  await velero.whenReady();
}
