// Who we are to the API server and how it is known to be the right one: from a pod's own service account, or from a kubeconfig.
import { readFile } from 'node:fs/promises';
import type { SecureContextOptions } from 'node:tls';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { KubeError } from './kube-error.ts';

export interface Authentication {
  /** `https://host:port`, perhaps with a path. */
  readonly server: string;
  /** What the connection is made with; asked again for each new connection, so that rotated files count. */
  tls(): Promise<TlsOptions>;
  /** Of each request. `isRefused`: the last ones were not taken. */
  headers(isRefused: boolean): Promise<Readonly<Record<string, string>>>;
}

export interface TlsOptions extends Pick<SecureContextOptions, 'ca' | 'cert' | 'key'> {
  readonly rejectUnauthorized?: boolean | undefined;
  readonly servername?: string | undefined;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The kubelet renews a token well before its end; read as often as client-go does. */
const TOKEN_FRESH_MS = 60_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** Undefined outside of a cluster. */
export function podAuthentication(
  environment: Environment,
  clock: Pick<Clock, 'monotonicMs'>,
  folder = SERVICE_ACCOUNT,
): Authentication | undefined {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '' } = environment;
  if (host === '' || port === '') return undefined;
  let token = '';
  let readAtMs = -Infinity;
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    tls: async () => ({ ca: await readAccountFile(join(folder, 'ca.crt')) }),
    headers: async (isRefused) => {
      if (isRefused || clock.monotonicMs() - readAtMs >= TOKEN_FRESH_MS) {
        token = (await readAccountFile(join(folder, 'token'))).trim();
        readAtMs = clock.monotonicMs();
      }
      return { authorization: `Bearer ${token}` };
    },
  };
}

async function readAccountFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new KubeError('KUBE_CONFIG', `the service account's ${path} cannot be read`, { cause });
  }
}
