// One API server for a test file, a proxy before it, and clients by both ways.
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock, type Clock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { silentLogger } from '../../base/logger.ts';
import { connectKube, KINDS, type ConfigMap, type KubeClient } from '../../kube/index.ts';
import type { IdleLimits } from '../../kube/client/api-client.ts';
import { startApiServer, type ApiServer, type ApiServerOptions } from '../harness/api-server.ts';
import type { FaultProxy } from '../harness/fault-proxy.ts';
import { startKubeProxy } from '../harness/kube-proxy.ts';
import type { CleanUp } from '../harness/scratch.ts';
import { createAdminAccount } from '../harness/service-account-folder.ts';

export interface KubeFixture {
  readonly server: ApiServer;
  readonly proxy: FaultProxy;
  /** As the cluster's admin, past the proxy. */
  readonly admin: KubeClient;
  /** Of a ServiceAccount that may do everything, through the proxy. */
  readonly client: KubeClient;
  /** Its token. */
  readonly token: string;
  /** A new namespace of the test's own. */
  namespace(): Promise<string>;
  /** Another client through the proxy; closed after the test. */
  connect(t: CleanUp, idle?: IdleLimits): Promise<KubeClient>;
  close(): Promise<void>;
}

const USER_AGENT = 'windlass-test';

export async function startKubeFixture(options: ApiServerOptions = {}): Promise<KubeFixture> {
  const server = await startApiServer(options);
  const proxy = await startKubeProxy(server);
  const of = (kubeconfigPath: string, idle?: IdleLimits): Promise<KubeClient> =>
    connectKube({ kubeconfigPath, userAgent: USER_AGENT, environment: {}, clock: systemClock, idle });
  const admin = await of(server.kubeconfig);
  const { token } = await createAdminAccount(server, 'test-admin');
  const throughProxy = server.kubeconfigWithToken('through-proxy', token, proxy.url);
  const client = await of(throughProxy);
  let namespaces = 0;
  return {
    server,
    proxy,
    admin,
    client,
    token,
    async namespace() {
      const name = `test-${++namespaces}`;
      await admin.create(KINDS.namespace, { metadata: { name } });
      return name;
    },
    async connect(t, idle) {
      const another = await of(throughProxy, idle);
      t.after(() => void another.close());
      return another;
    },
    async close() {
      await client.close();
      await admin.close();
      await proxy.close();
      await server.stop();
    },
  };
}

export interface HurriedClock extends Clock {
  /** What was to be waited. */
  readonly sleepsMs: readonly number[];
}

/** The real time, but nobody sleeps long. */
export function hurriedClock(): HurriedClock {
  const sleepsMs: number[] = [];
  return {
    ...systemClock,
    sleepsMs,
    async sleep(durationMs, signal) {
      sleepsMs.push(durationMs);
      await systemClock.sleep(Math.min(durationMs, 20), signal);
    },
  };
}

export const deps = { random: systemRandom, logger: silentLogger };

/** Waits until it is so; the test's own time limit ends what never comes. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(10);
}

export function aConfigMap(namespace: string, name: string, data: Record<string, string> = {}): ConfigMapDraft {
  return { metadata: { namespace, name }, data };
}

type ConfigMapDraft = { readonly metadata: { readonly namespace: string; readonly name: string } } & Pick<
  ConfigMap,
  'data'
>;
