// The chart against a real API server, beside what a real `velero install` makes.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startApiServer, type ApiServer } from '../harness/api-server.ts';
import { buildGoPrograms } from '../harness/go-program.ts';
import { CHART, helm, runHelm } from '../harness/helm.ts';
import { describeResult, runCommand } from '../harness/run-command.ts';
import { freePort, startServer } from '../harness/server-process.ts';
import { RENDERINGS } from './renderings.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NAMESPACE = '--namespace=velero';
const RELEASE = ['windlass', CHART, NAMESPACE];
const ACCOUNT = 'system:serviceaccount:velero:windlass-node-agent';

interface DaemonSet {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly serviceAccountName: string;
        readonly containers: readonly { readonly image: string; readonly command: readonly string[] }[];
      };
    };
  };
}

let api: ApiServer;

before(async () => {
  api = await startApiServer();
  await veleroInstall();
});

after(() => api?.stop());

/** Makes what is missing and leaves what is there, as on a real cluster. */
async function veleroInstall(): Promise<void> {
  const programs = buildGoPrograms('velero');
  if ('missing' in programs) throw new Error(programs.missing);
  const credentials = join(api.folder, 'credentials');
  writeFileSync(credentials, '[default]\n');
  const program = [join(programs.path, 'velero'), `--kubeconfig=${api.kubeconfig}`, 'install', '--use-node-agent'];
  const location = ['--provider=aws', '--plugins=velero/velero-plugin-for-aws:v1.14.3', '--bucket=velero'];
  const argv = [...program, ...location, `--secret-file=${credentials}`, '--use-volume-snapshots=false'];
  const result = await runCommand(argv, { env: { HOME: api.folder } });
  assert.equal(result.code, 0, describeResult(argv, result));
}

async function daemonSet(): Promise<DaemonSet['spec']['template']['spec']> {
  const text = await api.kubectl(['get', 'daemonset', 'node-agent', '-n', 'velero', '-o', 'json']);
  return (JSON.parse(text) as DaemonSet).spec.template.spec;
}

async function isOurs(): Promise<boolean> {
  const { containers, serviceAccountName } = await daemonSet();
  const isOurAccount = serviceAccountName === 'windlass-node-agent';
  assert.equal(containers.length, 1);
  assert.equal(containers[0]?.command[0] === '/usr/local/bin/node', isOurAccount);
  return isOurAccount;
}

test('the API server takes everything that the chart can become', async () => {
  // Not beside Velero's agent: what of that one would remain under ours is another question.
  await api.kubectl(['create', 'namespace', 'elsewhere']);
  for (const { path, args } of RENDERINGS) {
    const apply = ['apply', '--server-side', '--force-conflicts', '--dry-run=server'];
    const objects = (await helm(['template', 'windlass', CHART, '--namespace=elsewhere', ...args])).split(/^---$/m);
    // No PodMonitor without the Prometheus operator.
    const known = objects.filter((text) => !text.includes('kind: PodMonitor')).join('---\n');
    const answer = await api.kubectl([...apply, '-f', '-'], known);
    assert.match(answer, /daemonset\.apps\/node-agent serverside-applied/, path);
  }
});

test('helm does not take over the agent of Velero unasked', async () => {
  const refused = await runHelm(['install', ...RELEASE], api.kubeconfig);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /DaemonSet "node-agent" in namespace "velero" exists and cannot be imported/);
  assert.equal(await isOurs(), false);
});

test('a restore helper that is configured already is not configured twice', async (t) => {
  const map = ['-n', 'velero', 'configmap', 'fs-restore-action-config'];
  await api.kubectl(['create', ...map]);
  t.after(() => api.kubectl(['delete', '--ignore-not-found', ...map]));
  const label = (...labels: string[]) => api.kubectl(['label', ...map, ...labels]);
  const render = () => runHelm(['install', ...RELEASE, '--take-ownership', '--dry-run=server'], api.kubeconfig);
  await label('velero.io/plugin-config=', 'velero.io/pod-volume-restore=BackupItemAction');
  assert.equal((await render()).code, 0);
  await label('--overwrite', 'velero.io/pod-volume-restore=RestoreItemAction');
  const refused = await render();
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /ConfigMap velero\/fs-restore-action-config already configures Velero's restore helper/);
  const without = await runHelm(
    ['install', ...RELEASE, '--take-ownership', '--dry-run=server', '--set=restoreHelper.enabled=false'],
    api.kubeconfig,
  );
  assert.equal(without.code, 0, without.stderr);
});

test('by deleting the agent first: over, upgraded, and back', async () => {
  await api.kubectl(['delete', 'daemonset', 'node-agent', '-n', 'velero']);
  await helm(['install', ...RELEASE], api.kubeconfig);
  assert.equal(await isOurs(), true);
  await helm(['upgrade', ...RELEASE, '--set=agent.logLevel=debug'], api.kubeconfig);
  assert.equal(await isOurs(), true);
  await back();
});

test('in place, with --take-ownership: over, upgraded, and back', async () => {
  await helm(['install', ...RELEASE, '--take-ownership', '--force-conflicts'], api.kubeconfig);
  assert.equal(await isOurs(), true);
  const spec = JSON.stringify(await daemonSet());
  requireNoLeftovers(spec);
  await helm(['upgrade', ...RELEASE, '--set=agent.logLevel=debug'], api.kubeconfig);
  assert.equal(await isOurs(), true);
  await back();
});

/** What remains of the agent before ours must not change what ours may do or is given. */
function requireNoLeftovers(spec: string): void {
  assert.doesNotMatch(spec, /"\/velero"|node-agent server|"privileged":true/);
}

async function back(): Promise<void> {
  await helm(['uninstall', 'windlass', NAMESPACE], api.kubeconfig);
  await veleroInstall();
  assert.equal(await isOurs(), false);
}

test('the agent may do what is listed in docs/security.md and nothing else', async () => {
  await api.kubectl(['delete', 'daemonset', 'node-agent', '-n', 'velero']);
  await helm(['install', ...RELEASE], api.kubeconfig);
  assert.deepEqual(await rightsIn('velero'), [
    'backuprepositories.velero.io: create list watch',
    'backupstoragelocations.velero.io: list watch',
    'configmaps: list watch',
    'csidrivers.storage.k8s.io: list',
    'events: create patch',
    'nodes: list watch',
    'persistentvolumeclaims: get',
    'persistentvolumes: get',
    'pods: delete get list watch',
    'podvolumebackups.velero.io: get list patch watch',
    'podvolumerestores.velero.io: get list patch watch',
    'secrets: get',
  ]);
  assert.deepEqual(await rightsIn('default'), [
    'csidrivers.storage.k8s.io: list',
    'nodes: list watch',
    'persistentvolumeclaims: get',
    'persistentvolumes: get',
    'pods: get list watch',
  ]);
  await helm(['uninstall', 'windlass', NAMESPACE], api.kubeconfig);
});

/** Until the program says that it follows all that it follows. Without a right it would never come to that. */
async function runUnder(account: string, program: string, args: readonly string[]): Promise<void> {
  const text = await api.kubectl(['get', 'serviceaccount', account, '-n', 'velero', '-o', 'json']);
  const { metadata } = JSON.parse(text) as { readonly metadata: { readonly uid: string } };
  const token = api.token({ namespace: 'velero', name: account, uid: metadata.uid, expiresInSeconds: 3600 });
  const port = await freePort();
  const argv = [
    process.execPath,
    join(ROOT, 'dist', program),
    `--kubeconfig=${api.kubeconfigWithToken(account, token)}`,
    `--metrics-address=127.0.0.1:${port}`,
    `--scratch-folder=${api.folder}`,
    ...args,
  ];
  const environment = { NODE_NAME: 'node', VELERO_NAMESPACE: 'velero', POD_NAME: 'pod' };
  const running = await startServer(argv, environment, async () => {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
    return response?.ok ?? false;
  });
  await running.stop();
  assert.doesNotMatch(running.output(), /KUBE_FORBIDDEN/);
}

test('agent and controller start under these rights', async () => {
  const built = await runCommand([process.execPath, join(ROOT, 'scripts/build.ts')], { cwd: ROOT });
  assert.equal(built.code, 0, built.stderr);
  const add = {
    op: 'add',
    path: '/spec/template/spec/containers/0/args/-',
    value: '--disable-controllers=backup-repo',
  };
  const patch = ['--type=json', '-p', JSON.stringify([add])];
  await api.kubectl(['patch', 'deployment', 'velero', '-n', 'velero', ...patch]);
  await helm(['install', ...RELEASE, '--set=controller.enabled=true'], api.kubeconfig);
  await runUnder('windlass-node-agent', 'agent.cjs', [`--host-pods=${api.folder}`, '--node-agent-configmap=any']);
  await runUnder('windlass-controller', 'controller.cjs', []);
  await helm(['uninstall', 'windlass', NAMESPACE], api.kubeconfig);
});

interface RulesReview {
  readonly status: {
    readonly resourceRules: readonly {
      readonly verbs: readonly string[];
      readonly apiGroups: readonly string[];
      readonly resources: readonly string[];
    }[];
  };
}

/** Beside what every account may: to ask who it is and what it may. */
async function rightsIn(namespace: string): Promise<string[]> {
  const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace } };
  const text = await api.kubectl(
    ['create', '-f', '-', '-o', 'json', '--validate=false', `--as=${ACCOUNT}`],
    JSON.stringify(review),
  );
  const rights = new Map<string, Set<string>>();
  for (const { apiGroups, resources, verbs } of (JSON.parse(text) as RulesReview).status.resourceRules) {
    for (const group of apiGroups.filter((name) => !/^(authorization|authentication)\.k8s\.io$/.test(name))) {
      for (const resource of resources) {
        const name = group === '' ? resource : `${resource}.${group}`;
        rights.set(name, new Set([...(rights.get(name) ?? []), ...verbs]));
      }
    }
  }
  return [...rights].map(([name, verbs]) => `${name}: ${[...verbs].sort().join(' ')}`).sort();
}
