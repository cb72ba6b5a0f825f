// From how a cluster is named to a client of it.
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { podAuthentication } from './authentication.ts';
import { ApiClient, type IdleLimits } from './api-client.ts';
import { HttpTransport } from './http-transport.ts';
import type { KubeClient } from './kube-client.ts';
import { KubeError } from './kube-error.ts';
import { kubeconfigAuthentication } from './kubeconfig.ts';

export interface ConnectOptions {
  /** Undefined: the pod's service account, or else what kubectl would take. */
  readonly kubeconfigPath?: string | undefined;
  readonly context?: string | undefined;
  /** By which the server's logs and limits know us. */
  readonly userAgent: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly idle?: IdleLimits | undefined;
  /** Where a pod finds its token; default where the kubelet puts it. */
  readonly serviceAccountFolder?: string | undefined;
}

/** Nothing is asked of the server yet. `KUBE_CONFIG` when nothing says which one. */
export async function connectKube(options: ConnectOptions): Promise<KubeClient> {
  const { kubeconfigPath, context, environment, userAgent, clock } = options;
  const wantsFile = kubeconfigPath !== undefined || context !== undefined;
  const ofPod = wantsFile ? undefined : podAuthentication(environment, clock, options.serviceAccountFolder);
  if (ofPod === undefined && !wantsFile && !hasKubeconfig(environment))
    throw new KubeError('KUBE_CONFIG', 'neither a service account nor a kubeconfig says which cluster this is about');
  const authentication = ofPod ?? (await kubeconfigAuthentication({ path: kubeconfigPath, context, clock }));
  return new ApiClient(new HttpTransport(authentication, { userAgent, clock }), clock, options.idle);
}

function hasKubeconfig({ KUBECONFIG: named = '' }: ConnectOptions['environment']): boolean {
  return named !== '' || existsSync(join(homedir(), '.kube', 'config'));
}
