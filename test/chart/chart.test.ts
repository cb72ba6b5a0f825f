// The chart by itself: no cluster.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { CHART, helm, runHelm } from '../harness/helm.ts';
import { kept, render, RENDERINGS } from './renderings.ts';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  /** Of roles. */
  readonly rules?: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly containers: readonly {
          readonly args?: readonly string[];
          readonly securityContext: { readonly capabilities: object };
        }[];
        readonly volumes: readonly { readonly name: string }[];
      };
    };
  };
}

async function manifests(...args: readonly string[]): Promise<readonly Manifest[]> {
  const text = await helm(['template', 'windlass', CHART, '--namespace=velero', ...args]);
  return parseAllDocuments(text, { uniqueKeys: true }).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS() as Manifest; // checked by the assertions below
  });
}

const names = (list: readonly Manifest[], kind: string): string[] =>
  list.filter((manifest) => manifest.kind === kind).map(({ metadata }) => metadata.name);

test('helm finds nothing to complain about', async () => {
  assert.match(await helm(['lint', '--strict', CHART]), /0 chart\(s\) failed/);
});

for (const rendering of RENDERINGS) {
  test(`${rendering.path.split('/').at(-1)} is what the chart becomes (npm run chart)`, async () => {
    assert.ok(
      (await render(rendering)) === (await kept(rendering)),
      'git diff after npm run chart shows the difference',
    );
  });
}

test('the agent is what a Velero server looks for, with no more rights than it needs', async () => {
  const [daemonSet] = (await manifests()).filter(({ kind }) => kind === 'DaemonSet');
  const { metadata, spec } = daemonSet?.spec.template ?? assert.fail();
  assert.equal(daemonSet?.metadata.name, 'node-agent');
  assert.equal(metadata.labels['role'], 'node-agent');
  assert.equal(spec.containers.length, 1);
  assert.deepEqual(
    spec.volumes.map(({ name }) => name),
    ['host-pods', 'host-plugins', 'scratch', 'cache', 'cloud-credentials'],
  );
  assert.deepEqual(spec.containers[0]?.securityContext, {
    allowPrivilegeEscalation: false,
    privileged: false,
    readOnlyRootFilesystem: true,
    seccompProfile: { type: 'RuntimeDefault' },
    capabilities: { drop: ['ALL'], add: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'SETFCAP'] },
  });
});

test('the controller, the monitor and the helper come when they are asked for', async () => {
  const plain = await manifests();
  assert.deepEqual([names(plain, 'Deployment'), names(plain, 'PodMonitor')], [[], []]);
  assert.deepEqual(names(plain, 'ConfigMap'), ['windlass-restore-helper']);
  assert.deepEqual(names(await manifests('--set=controller.enabled=true'), 'Deployment'), ['windlass-controller']);
  assert.deepEqual(names(await manifests('--set=metrics.podMonitor.enabled=true'), 'PodMonitor'), ['windlass']);
  assert.deepEqual(names(await manifests('--set=restoreHelper.enabled=false'), 'ConfigMap'), []);
});

test('agent and controller are told of passwords of namespaces, and get no right more for them', async () => {
  const flag = '--per-namespace-repository-passwords';
  const withController = await manifests('--set=controller.enabled=true');
  const list = await manifests('--set=controller.enabled=true,repositoryPasswords.perNamespace=true');
  const told = (all: readonly Manifest[]): string[] =>
    all
      .filter(({ spec }) => spec?.template?.spec.containers.some(({ args = [] }) => args.includes(flag)))
      .map(({ metadata }) => metadata.name)
      .sort();
  assert.deepEqual([told(withController), told(list)], [[], ['node-agent', 'windlass-controller']]);
  const roles = (all: readonly Manifest[]): readonly Manifest[] => all.filter(({ kind }) => kind.endsWith('Role'));
  assert.deepEqual(roles(list), roles(withController));
});

test('labels that Velero looks for cannot be changed', async () => {
  const list = await manifests('--set=agent.podLabels.role=other,agent.podLabels.team=storage');
  const { labels } = list.find(({ kind }) => kind === 'DaemonSet')?.spec.template.metadata ?? assert.fail();
  assert.equal(labels['role'], 'node-agent');
  assert.equal(labels['team'], 'storage');
});

const REFUSED: readonly (readonly [string, RegExp])[] = [
  ['image.repositry=x', /repositry/],
  ['agent.moverMemoryMiB=32', /moverMemoryMiB/],
  ['agent.logLevel=loud', /logLevel/],
  ['agent.extraArgs={x}', /extraArgs/],
  ['agent.extraCapabilities={SYS_ADMIN}', /extraCapabilities/],
  ['agent.operationTimeout=4', /operationTimeout/],
  ['image.digest=sha256:12', /digest/],
  ['restoreHelper.image.repository=helper', /repository/],
  ['repositoryPasswords.perNamespace=true', /without controller\.enabled/],
  ['agent.config.x=1,agent.existingConfigMap=y', /both set/],
];

test('values that cannot be meant are refused', async () => {
  for (const [value, reason] of REFUSED) {
    const result = await runHelm(['template', 'windlass', CHART, `--set=${value}`]);
    assert.notEqual(result.code, 0, value);
    assert.match(result.stderr, reason);
  }
});

const security = readFileSync(fileURLToPath(new URL('../../docs/security.md', import.meta.url)), 'utf8');

/** The rows `| \`resource\` | verbs |` between two places of docs/security.md. */
function documentedRights(from: string, to: string): string[] {
  const part = security.slice(security.indexOf(from), security.indexOf(to));
  return [...part.matchAll(/^\| `([^`]+)` \| ([a-z ]+) \|/gm)]
    .map(([, name, verbs = '']) => `${name}: ${verbs.split(' ').sort().join(' ')}`)
    .sort();
}

function rightsOf({ rules = [] }: Manifest): string[] {
  return rules
    .flatMap(({ apiGroups, resources, verbs }) =>
      resources.map((name) => [apiGroups[0] === '' ? name : `${name}.${apiGroups[0]}`, [...verbs].sort().join(' ')]),
    )
    .map(([name, verbs]) => `${name}: ${verbs}`)
    .sort();
}

test('docs/security.md explains each right and capability that the chart gives, and no other', async () => {
  const list = await manifests('--set=controller.enabled=true');
  const role = (kind: string, name: string): string[] =>
    rightsOf(list.find((manifest) => manifest.kind === kind && manifest.metadata.name === name) ?? assert.fail());
  const [cluster, agent, helper] = ['In the whole cluster', "In Velero's namespace (Role", '## The restore helper'];
  assert.deepEqual(role('ClusterRole', 'windlass-node-agent'), documentedRights(cluster, agent));
  assert.deepEqual(role('Role', 'windlass-node-agent'), documentedRights(agent, helper));
  assert.deepEqual(role('Role', 'windlass-controller'), documentedRights('## The controller', '## Images'));
  const given = [...security.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, name = '']) => name).sort();
  assert.deepEqual(given, ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'SETFCAP']);
});
