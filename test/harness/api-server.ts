// A real Kubernetes API server for tests: etcd and kube-apiserver on loopback, without kubelets and controllers. Nothing collects
// garbage here, runs pods or empties a namespace; namespaces need no ServiceAccount before a pod can be made.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority, createSigningKey, type CertificateAuthority } from './certificates.ts';
import { buildGoProgram, buildGoPrograms } from './go-program.ts';
import { describeResult, runCommand } from './run-command.ts';
import { removeTree } from './scratch.ts';
import { freePort, startServer, type ServerProcess } from './server-process.ts';
import { signToken, type TokenRequest } from './service-account-token.ts';
import { printVeleroCrds } from './velero-crds.ts';

export interface ApiServer {
  /** `https://127.0.0.1:PORT` */
  readonly url: string;
  readonly folder: string;
  /** Paths of PEM files. */
  readonly caPath: string;
  readonly authority: CertificateAuthority;
  /** The path of a kubeconfig that may do everything. */
  readonly kubeconfig: string;
  readonly pids: { readonly etcd: number; readonly apiServer: number };
  /** A kubeconfig for somebody with a client certificate: `name` is the user, `groups` its one group. */
  kubeconfigOf(user: string, group?: string): string;
  /** A kubeconfig with a bearer token, for `server` in place of the API server itself: a proxy. */
  kubeconfigWithToken(file: string, token: string, server?: string): string;
  /** Signs a token of a ServiceAccount as the API server does; the account must exist. */
  token(request: TokenRequest): string;
  /** `kubectl` under the admin's kubeconfig; throws when it fails. */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** Velero's own definitions, and waits until they are served. */
  applyVeleroCrds(): Promise<void>;
  /** Forgets all old versions in etcd, so that resuming at one of them is refused. */
  compact(): Promise<void>;
  /** Ends the API server and starts it again on the same port; its watch cache begins anew. */
  restart(): Promise<void>;
  /** Ends the API server. `restart()` starts it again. */
  stopApiServer(): Promise<void>;
  stop(): Promise<void>;
}

export interface ApiServerOptions {
  /** More flags of kube-apiserver. */
  readonly flags?: readonly string[];
  /** Where its folder is made; default the system's temporary folder. */
  readonly parent?: string;
}

const LOOPBACK = '127.0.0.1';
const SERVER_NAMES = [
  'IP:127.0.0.1',
  'DNS:localhost',
  'DNS:kubernetes',
  'DNS:kubernetes.default',
  'DNS:kubernetes.default.svc',
];

export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  const [etcdProgram, programs] = [buildGoProgram('etcd'), buildGoPrograms('kubernetes')];
  if ('missing' in etcdProgram) throw new Error(etcdProgram.missing);
  if ('missing' in programs) throw new Error(programs.missing);
  const folder = mkdtempSync(join(options.parent ?? tmpdir(), 'windlass-apiserver-'));
  const etcd = await startEtcd(etcdProgram.path, folder);
  try {
    const server = new LocalApiServer(folder, programs.path, etcd, options.flags ?? []);
    await server.start(await freePort());
    return server;
  } catch (error) {
    await etcd.process.stop();
    removeTree(folder);
    throw error;
  }
}

interface Etcd {
  readonly process: ServerProcess;
  readonly url: string;
}

async function startEtcd(program: string, folder: string): Promise<Etcd> {
  const [clientPort, peerPort] = [await freePort(), await freePort()];
  const [url, peerUrl] = [`http://${LOOPBACK}:${clientPort}`, `http://${LOOPBACK}:${peerPort}`];
  const flags = {
    'data-dir': join(folder, 'etcd'),
    'listen-client-urls': url,
    'advertise-client-urls': url,
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    'initial-cluster': `default=${peerUrl}`,
    'quota-backend-bytes': String(4 * 2 ** 30),
    'log-level': 'warn',
  };
  const argv = [program, ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`), '--unsafe-no-fsync'];
  const process = await startServer(argv, {}, () => isHealthy(`${url}/health`));
  return { process, url };
}

class LocalApiServer implements ApiServer {
  readonly folder: string;
  readonly caPath: string;
  readonly authority: CertificateAuthority;
  readonly #programs: string;
  readonly #etcd: Etcd;
  readonly #flags: readonly string[];
  readonly #signing: { readonly privateKey: string; readonly publicKey: string };
  #port = 0;
  #process: ServerProcess | undefined;

  constructor(folder: string, programs: string, etcd: Etcd, flags: readonly string[]) {
    this.folder = folder;
    this.authority = createAuthority(folder);
    this.caPath = this.authority.certificate;
    this.#programs = programs;
    this.#etcd = etcd;
    this.#flags = flags;
    this.#signing = createSigningKey(folder, 'service-accounts');
    this.authority.issue('apiserver', { commonName: 'kube-apiserver', names: SERVER_NAMES });
  }

  get url(): string {
    return `https://${LOOPBACK}:${this.#port}`;
  }

  get kubeconfig(): string {
    return join(this.folder, 'admin.kubeconfig');
  }

  get pids(): { readonly etcd: number; readonly apiServer: number } {
    return { etcd: this.#etcd.process.child.pid ?? 0, apiServer: this.#process?.child.pid ?? 0 };
  }

  async start(port: number): Promise<void> {
    this.#port = port;
    this.kubeconfigOf('admin', 'system:masters');
    const file = (name: string): string => join(this.folder, name);
    const flags = {
      'etcd-servers': this.#etcd.url,
      'bind-address': LOOPBACK,
      'secure-port': String(port),
      'advertise-address': LOOPBACK,
      'endpoint-reconciler-type': 'none',
      'service-cluster-ip-range': '10.96.0.0/24',
      'authorization-mode': 'Node,RBAC',
      'disable-admission-plugins': 'ServiceAccount',
      'allow-privileged': 'true',
      'client-ca-file': this.caPath,
      'tls-cert-file': file('apiserver.crt'),
      'tls-private-key-file': file('apiserver.key'),
      'service-account-issuer': 'https://kubernetes.default.svc',
      'service-account-key-file': this.#signing.publicKey,
      'service-account-signing-key-file': this.#signing.privateKey,
      profiling: 'false',
    };
    const argv = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const program = join(this.#programs, 'kube-apiserver');
    // The first start makes its own namespaces and roles: only then is it ready.
    this.#process = await startServer([program, ...argv, ...this.#flags], {}, () => this.#isReady());
  }

  kubeconfigOf(user: string, group?: string): string {
    const organization = group === undefined ? {} : { organization: group };
    const { certificate, key } = this.authority.issue(`user-${user.replace(/\W/g, '-')}`, {
      commonName: user,
      ...organization,
    });
    return this.#writeKubeconfig(user, { 'client-certificate': certificate, 'client-key': key }, this.url);
  }

  kubeconfigWithToken(file: string, token: string, server = this.url): string {
    return this.#writeKubeconfig(file, { token }, server);
  }

  token(request: TokenRequest): string {
    return signToken(readFileSync(this.#signing.privateKey, 'utf8'), request);
  }

  async kubectl(args: readonly string[], input?: string): Promise<string> {
    const argv = [join(this.#programs, 'kubectl'), `--kubeconfig=${this.kubeconfig}`, ...args];
    const env = { HOME: this.folder };
    const result = await runCommand(argv, input === undefined ? { env } : { env, input });
    if (result.code !== 0) throw new Error(describeResult(argv, result));
    return result.stdout;
  }

  async applyVeleroCrds(): Promise<void> {
    await this.kubectl(['apply', '--server-side', '-f', '-'], await printVeleroCrds(this.folder));
    await this.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
  }

  async compact(): Promise<void> {
    const ask = async (path: string, body: object): Promise<unknown> => {
      const response = await fetch(`${this.#etcd.url}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });
      if (!response.ok) throw new Error(`etcd: ${path}: ${response.status} ${await response.text()}`);
      return response.json();
    };
    const status = (await ask('maintenance/status', {})) as { header: { revision: string } }; // etcd's own gateway
    await ask('kv/compaction', { revision: status.header.revision, physical: true });
  }

  async stopApiServer(): Promise<void> {
    await this.#process?.stop();
    this.#process = undefined;
  }

  async restart(): Promise<void> {
    await this.stopApiServer();
    await this.start(this.#port);
  }

  async stop(): Promise<void> {
    await this.stopApiServer();
    await this.#etcd.process.stop();
    removeTree(this.folder);
  }

  #writeKubeconfig(name: string, user: Readonly<Record<string, string>>, server: string): string {
    const path = join(this.folder, `${name.replace(/\W/g, '-')}.kubeconfig`);
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster: { server, 'certificate-authority': this.caPath } }],
      users: [{ name, user }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: name } }],
      'current-context': 'test',
    };
    writeFileSync(path, JSON.stringify(config, undefined, 2), { mode: 0o600 });
    return path;
  }

  async #isReady(): Promise<boolean> {
    const probe = await runCommand([
      join(this.#programs, 'kubectl'),
      `--kubeconfig=${this.kubeconfig}`,
      'get',
      '--raw=/readyz',
    ]);
    return probe.code === 0;
  }
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(url);
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
