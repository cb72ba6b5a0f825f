// Who asked the API server for how much during a step, from its audit log: a pod's requests carry its name.
import type { Cluster } from '../../cluster/cluster.ts';
import { apiRequests, type ApiRequest } from '../../cluster/control-plane.ts';
import type { RequestCounts } from './results.ts';

const VELERO_ACCOUNT = 'system:serviceaccount:velero:velero';
/** kubectl and velero, as the bench runs them. */
const BENCH_ACCOUNT = 'admin';
const POD_NAME = 'authentication.kubernetes.io/pod-name';
/** Of the agents' DaemonSet, Velero's or ours, whatever account they have. */
const AGENT_POD = /^node-agent-/;
/** Of the server's Deployment. The agents' pods are called as their volume object, which begins with `bench-`. */
const SERVER_POD = /^velero-[a-z0-9]+-[a-z0-9]+$/;

/** @param sinceMs @param untilMs wall-clock time, in milliseconds */
export function countRequests({ inside }: Cluster, sinceMs: number, untilMs: number): RequestCounts {
  const counts = { agent: 0, server: 0, others: 0 };
  for (const request of apiRequests(inside.folder)) {
    const atMs = Date.parse(request.requestReceivedTimestamp);
    if (atMs < sinceMs || atMs > untilMs) continue;
    const who = requesterOf(request);
    if (who !== undefined) counts[who]++;
  }
  return counts;
}

export function requesterOf({ user }: Pick<ApiRequest, 'user'>): keyof RequestCounts | undefined {
  const pod = user.extra?.[POD_NAME]?.[0] ?? '';
  if (AGENT_POD.test(pod)) return 'agent';
  if (user.username === BENCH_ACCOUNT) return undefined;
  if (user.username !== VELERO_ACCOUNT) return 'others';
  return SERVER_POD.test(pod) ? 'server' : 'agent';
}
