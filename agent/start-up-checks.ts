// What can be told at the start to be wrong on this node. Velero's agent would not start; this one says so and does what it can.
import { readdir } from 'node:fs/promises';
import { hasCode } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Pod } from '../kube/index.ts';

const MIRROR = 'kubernetes.io/config.mirror';

/** Whether every running pod has its folder where the kubelet's folders are expected (node-agent §7.5). */
export async function checkHostPods(
  hostPods: string,
  pods: readonly Pod[],
  logger: Logger,
): Promise<string | undefined> {
  let folders: ReadonlySet<string>;
  try {
    folders = new Set(await readdir(hostPods));
  } catch (error) {
    const reason = hasCode(error, 'ENOENT') ? 'does not exist' : 'cannot be read';
    const problem = `${hostPods} ${reason}: pod volumes cannot be backed up or restored on this node`;
    logger.error(problem);
    return problem;
  }
  const missing = pods.filter(({ metadata, status }) => {
    const uid = metadata.annotations?.[MIRROR] ?? metadata.uid;
    return status?.phase === 'Running' && !folders.has(uid);
  });
  const [first] = missing;
  if (first === undefined) return undefined;
  const { namespace, name } = first.metadata;
  const problem = `${missing.length} running pods have no folder in ${hostPods}, for example ${namespace}/${name}: is it the kubelet's?`;
  logger.warn(problem);
  return problem;
}
