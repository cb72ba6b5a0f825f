// The keys of a cluster, made by openssl: an authority, what servers show, and clients whose subject is their right.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { API_SERVICE_ADDRESS, NODE_ADDRESS } from './holder.ts';

export const NODE_NAME = 'node-1';

export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

export interface Keys {
  readonly authority: string;
  readonly apiServer: Certificate;
  readonly kubelet: Certificate;
  readonly apiServerToKubelet: Certificate;
  /** Of service account tokens. */
  readonly tokens: { readonly privateKey: string; readonly publicKey: string };
  /** Files that name a client's certificate and the API server. */
  readonly kubeconfigs: Readonly<Record<keyof typeof CLIENTS, string>>;
}

const CLIENTS = {
  admin: '/O=system:masters/CN=admin',
  'controller-manager': '/CN=system:kube-controller-manager',
  scheduler: '/CN=system:kube-scheduler',
  kubelet: `/O=system:nodes/CN=system:node:${NODE_NAME}`,
} as const;

const API_SERVER_NAMES = [
  ...['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'].map((name) => `DNS:${name}`),
  'DNS:kubernetes.default.svc.cluster.local',
  ...['127.0.0.1', API_SERVICE_ADDRESS, NODE_ADDRESS].map((address) => `IP:${address}`),
];
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30'];

export function makeKeys(folder: string): Keys {
  const keys = join(folder, 'keys');
  mkdirSync(keys, { recursive: true });
  const authority = join(keys, 'ca.crt');
  const authorityKey = join(keys, 'ca.key');
  openssl('req', '-x509', ...NEW_KEY, '-keyout', authorityKey, '-out', authority, '-subj', '/CN=windlass-test-ca');
  const issue = (name: string, subject: string, ...extensions: readonly string[]): Certificate => {
    const issued = { certificate: join(keys, `${name}.crt`), key: join(keys, `${name}.key`) };
    openssl(
      'req',
      '-x509',
      ...NEW_KEY,
      '-CA',
      authority,
      '-CAkey',
      authorityKey,
      '-subj',
      subject,
      '-keyout',
      issued.key,
      '-out',
      issued.certificate,
      ...extensions.flatMap((extension) => ['-addext', extension]),
    );
    return issued;
  };
  const tokens = { privateKey: join(keys, 'sa.key'), publicKey: join(keys, 'sa.pub') };
  openssl('genrsa', '-out', tokens.privateKey, '2048');
  openssl('rsa', '-in', tokens.privateKey, '-pubout', '-out', tokens.publicKey);
  const kubeconfig = (name: keyof typeof CLIENTS): string => {
    const path = join(folder, `${name}.kubeconfig`);
    const client = issue(name, CLIENTS[name], 'basicConstraints=CA:FALSE', 'extendedKeyUsage=clientAuth');
    writeFileSync(path, kubeconfigText(authority, client));
    return path;
  };
  return {
    authority,
    apiServer: issue('apiserver', '/CN=kube-apiserver', serverNames(API_SERVER_NAMES)),
    kubelet: issue('kubelet-server', `/CN=${NODE_NAME}`, serverNames([`DNS:${NODE_NAME}`, `IP:${NODE_ADDRESS}`])),
    apiServerToKubelet: issue('apiserver-kubelet', '/O=system:masters/CN=apiserver', 'extendedKeyUsage=clientAuth'),
    tokens,
    kubeconfigs: {
      admin: kubeconfig('admin'),
      'controller-manager': kubeconfig('controller-manager'),
      scheduler: kubeconfig('scheduler'),
      kubelet: kubeconfig('kubelet'),
    },
  };
}

function serverNames(names: readonly string[]): string {
  return `subjectAltName=${names.join(',')}`;
}

function kubeconfigText(authority: string, client: Certificate): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: `https://${NODE_ADDRESS}`, 'certificate-authority': authority } }],
    users: [{ name: 'test', user: { 'client-certificate': client.certificate, 'client-key': client.key } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    'current-context': 'test',
  });
}

function openssl(...args: readonly string[]): void {
  const made = spawnSync('openssl', [...args], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`openssl ${args.join(' ')}: ${made.stderr}`);
}
