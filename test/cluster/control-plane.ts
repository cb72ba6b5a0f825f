// etcd, the API server, the controller manager and the scheduler, as processes inside.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Keys } from './certificates.ts';
import { NODE_ADDRESS } from './holder.ts';
import type { Inside } from './inside.ts';
import { waitFor } from './wait.ts';

export interface ControlPlanePrograms {
  readonly etcd: string;
  /** The folder of the Kubernetes programs. */
  readonly kubernetes: string;
}

/** Starts all four; the answer comes when the API server is ready. */
export async function startControlPlane(inside: Inside, programs: ControlPlanePrograms, keys: Keys): Promise<void> {
  await inside.start('etcd', [programs.etcd, ...etcdFlags(inside.folder)]);
  const program = (name: string): string => join(programs.kubernetes, name);
  await inside.start('kube-apiserver', [program('kube-apiserver'), ...apiServerFlags(inside.folder, keys)]);
  await whenApiServerReady(inside, programs.kubernetes);
  await inside.start('kube-controller-manager', [
    program('kube-controller-manager'),
    ...identity(keys.kubeconfigs['controller-manager']),
    `--service-account-private-key-file=${keys.tokens.privateKey}`,
    `--root-ca-file=${keys.authority}`,
    '--use-service-account-credentials=true',
    `--flex-volume-plugin-dir=${join(inside.folder, 'volume-plugins')}`,
  ]);
  await inside.start('kube-scheduler', [program('kube-scheduler'), ...identity(keys.kubeconfigs.scheduler)]);
}

export async function whenApiServerReady(inside: Inside, kubernetes: string): Promise<void> {
  await waitFor(
    'the API server',
    async () => {
      if (!inside.isRunning('kube-apiserver'))
        throw new Error(`no API server:\n${inside.log('kube-apiserver').slice(-4000)}`);
      const asked = await inside.run([join(kubernetes, 'kubectl'), 'get', '--raw', '/readyz'], { timeoutMs: 10_000 });
      return asked.code === 0 ? true : undefined;
    },
    { explain: () => inside.log('kube-apiserver').slice(-4000) },
  );
}

/** Who asked for what: one line a request, answered. */
export interface ApiRequest {
  readonly verb: string;
  readonly requestURI: string;
  readonly userAgent?: string;
  readonly user: { readonly username: string; readonly extra?: Readonly<Record<string, readonly string[]>> };
  readonly objectRef?: { readonly resource: string; readonly namespace?: string; readonly name?: string };
  readonly responseStatus?: { readonly code: number };
  readonly requestReceivedTimestamp: string;
}

/** Every request that the API server has answered so far, watches included when they end. */
export function apiRequests(folder: string): ApiRequest[] {
  const path = join(folder, 'audit.log');
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  // The last line may be half written.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as ApiRequest); // the API server's own format
}

function etcdFlags(folder: string): string[] {
  return [
    `--data-dir=${join(folder, 'etcd')}`,
    '--listen-client-urls=http://127.0.0.1:2379',
    '--advertise-client-urls=http://127.0.0.1:2379',
    '--listen-peer-urls=http://127.0.0.1:2380',
    '--initial-advertise-peer-urls=http://127.0.0.1:2380',
    '--initial-cluster=default=http://127.0.0.1:2380',
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

function apiServerFlags(folder: string, keys: Keys): string[] {
  const policy = join(folder, 'audit-policy.json');
  const rules = [{ level: 'Metadata', omitStages: ['RequestReceived', 'ResponseStarted'] }];
  writeFileSync(policy, JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules }));
  return [
    '--etcd-servers=http://127.0.0.1:2379',
    '--bind-address=0.0.0.0',
    '--secure-port=443',
    `--advertise-address=${NODE_ADDRESS}`,
    '--service-cluster-ip-range=10.96.0.0/24',
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    `--client-ca-file=${keys.authority}`,
    `--tls-cert-file=${keys.apiServer.certificate}`,
    `--tls-private-key-file=${keys.apiServer.key}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${keys.tokens.publicKey}`,
    `--service-account-signing-key-file=${keys.tokens.privateKey}`,
    `--kubelet-client-certificate=${keys.apiServerToKubelet.certificate}`,
    `--kubelet-client-key=${keys.apiServerToKubelet.key}`,
    `--kubelet-certificate-authority=${keys.authority}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--profiling=false',
    `--audit-policy-file=${policy}`,
    `--audit-log-path=${join(folder, 'audit.log')}`,
    '--audit-log-maxsize=2000',
  ];
}

function identity(kubeconfig: string): string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
  ];
}
