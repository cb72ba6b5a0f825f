// The one adapter of @kubernetes/client-node: kubeconfig files with all their ways of signing in. It takes 0.4 s and 80 MiB to load,
// so that a pod, which has its service account, never does.
import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { dirname, resolve } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '../../base/clock.ts';
import type { Authentication, TlsOptions } from './authentication.ts';
import { KubeError } from './kube-error.ts';

export interface KubeconfigChoice {
  /** Undefined: `KUBECONFIG`, or the file in the home folder. */
  readonly path?: string | undefined;
  readonly context?: string | undefined;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/** Files and plug-ins are not asked for every request. */
const FRESH_MS = 5000;

/** `KUBE_CONFIG` for a file that says nothing useful. */
export async function kubeconfigAuthentication(choice: KubeconfigChoice): Promise<Authentication> {
  const { clock } = choice;
  let config = await loadConfig(choice);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new KubeError('KUBE_CONFIG', 'the kubeconfig names no cluster for its current context');
  if (cluster.proxyUrl !== undefined && cluster.proxyUrl !== '')
    throw new KubeError('KUBE_CONFIG', 'a kubeconfig with a proxy-url is not supported');
  let latest: { readonly options: RequestOptions; readonly atMs: number } | undefined;
  const apply = async (isRefused: boolean): Promise<RequestOptions> => {
    if (latest !== undefined && !isRefused && clock.monotonicMs() - latest.atMs < FRESH_MS) return latest.options;
    // All that the library has kept is forgotten with it.
    if (isRefused) config = await loadConfig(choice);
    const options: RequestOptions = {};
    try {
      await config.applyToHTTPSOptions(options);
    } catch (cause) {
      throw new KubeError('KUBE_UNAUTHORIZED', 'the kubeconfig gives no credentials', { cause });
    }
    latest = { options, atMs: clock.monotonicMs() };
    return options;
  };
  return {
    server: cluster.server.replace(/\/$/, ''),
    async tls(): Promise<TlsOptions> {
      const { ca, cert, key, rejectUnauthorized, servername } = await apply(false);
      return { ca, cert, key, rejectUnauthorized, servername };
    },
    async headers(isRefused) {
      const { headers = {}, auth } = await apply(isRefused);
      const own = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value).trim()] as const);
      const basic = typeof auth === 'string' ? [['authorization', `Basic ${btoa(auth)}`] as const] : [];
      return Object.fromEntries([...basic, ...own]);
    },
  };
}

async function loadConfig({ path, context }: KubeconfigChoice): Promise<KubeConfig> {
  const library = await import('@kubernetes/client-node');
  const config = new library.KubeConfig();
  try {
    if (path === undefined) config.loadFromDefault();
    else config.loadFromFile(path);
    if (context !== undefined) config.setCurrentContext(context);
    if (path !== undefined) addTokenFile(config, library.loadYaml(await readFile(path, 'utf8')), dirname(path));
  } catch (cause) {
    throw new KubeError('KUBE_CONFIG', `the kubeconfig ${path ?? ''} cannot be read`, { cause });
  }
  return config;
}

/** A user's `tokenFile`, which the library does not know (2.0.1) although it reads such files for pods. */
function addTokenFile(config: KubeConfig, file: RawKubeconfig | undefined, folder: string): void {
  const name = config.getCurrentUser()?.name;
  const raw = file?.users?.find((user) => user.name === name)?.user;
  if (raw?.tokenFile === undefined || raw.token !== undefined) return;
  const tokenFile = resolve(folder, raw.tokenFile);
  config.users = config.users.map((user) =>
    user.name === name ? { ...user, authProvider: { name: 'tokenFile', config: { tokenFile } } } : user,
  );
}

interface RawKubeconfig {
  readonly users?: readonly {
    readonly name: string;
    readonly user?: { readonly token?: string; readonly tokenFile?: string };
  }[];
}
