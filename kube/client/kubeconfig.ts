// The one adapter of @kubernetes/client-node: kubeconfig files with all their ways of signing in. It takes 0.4 s and 80 MiB to load,
// so that a pod, which has its service account, never does.
import type { RequestOptions } from 'node:https';
import type { Authentication, TlsOptions } from './authentication.ts';
import { KubeError } from './kube-error.ts';

export interface KubeconfigChoice {
  /** Undefined: `KUBECONFIG`, or the file in the home folder. */
  readonly path?: string | undefined;
  readonly context?: string | undefined;
}

/** `KUBE_CONFIG` for a file that says nothing useful. */
export async function kubeconfigAuthentication({ path, context }: KubeconfigChoice): Promise<Authentication> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  try {
    if (path === undefined) config.loadFromDefault();
    else config.loadFromFile(path);
    if (context !== undefined) config.setCurrentContext(context);
  } catch (cause) {
    throw new KubeError('KUBE_CONFIG', `the kubeconfig ${path ?? ''} cannot be read`, { cause });
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new KubeError('KUBE_CONFIG', 'the kubeconfig names no cluster for its current context');
  const apply = async (): Promise<RequestOptions> => {
    const options: RequestOptions = {};
    await config.applyToHTTPSOptions(options);
    return options;
  };
  return {
    server: cluster.server.replace(/\/$/, ''),
    async tls(): Promise<TlsOptions> {
      const { ca, cert, key, rejectUnauthorized, servername } = await apply();
      return { ca, cert, key, rejectUnauthorized, servername };
    },
    async headers() {
      const { headers = {}, auth } = await apply();
      const own = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)] as const);
      const basic = typeof auth === 'string' ? [['authorization', `Basic ${btoa(auth)}`] as const] : [];
      return Object.fromEntries([...basic, ...own]);
    },
  };
}
