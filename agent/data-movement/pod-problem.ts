// Whether a pod was there all the while its volume was read: asked of the API itself, for when a pod goes the kubelet hears of it as
// soon as we do, and empties its folders.
import type { Clock } from '../../base/clock.ts';
import { errorCode, hasCode } from '../../base/errors.ts';
import { KINDS, type KubeClient, type PodReference } from '../../kube/index.ts';
import type { Answer } from '../datapath/job.ts';
import { podName } from './subject.ts';

/** Ten minutes in which the API server may be away. */
const ATTEMPTS = 120;
const PAUSE_MS = 5_000;

/** Never rejects. */
export async function podProblem(
  reference: PodReference,
  { client, clock }: { readonly client: KubeClient; readonly clock: Clock },
): Promise<Answer> {
  const { namespace, name = '' } = reference;
  const gone = { problem: `pod ${podName(reference)} was deleted while its volume was read`, mayPass: false };
  for (let attempt = 1; ; attempt++) {
    try {
      const { metadata } = await client.get(KINDS.pod, { name, namespace });
      return metadata.uid === reference.uid && metadata.deletionTimestamp === undefined ? {} : gone;
    } catch (error) {
      if (hasCode(error, 'KUBE_NOT_FOUND')) return gone;
      if (attempt >= ATTEMPTS) {
        const problem = `whether pod ${podName(reference)} is still there cannot be told: ${errorCode(error) ?? 'unknown'}`;
        return { problem, mayPass: true };
      }
      await clock.sleep(PAUSE_MS, new AbortController().signal);
    }
  }
}
