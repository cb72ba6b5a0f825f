// How we sign in, and that what is rotated under a running client is taken up: tokens, certificates, who signs the server's own.
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { hasCode } from '../../base/errors.ts';
import { connectKube, type ConnectOptions, type Kind, type KubeClient, type KubeObject } from '../../kube/index.ts';
import { createAuthority } from '../harness/certificates.ts';
import { FaultProxy } from '../harness/fault-proxy.ts';
import { statusAnswer } from '../harness/kube-proxy.ts';
import { scratchFolder, type CleanUp } from '../harness/scratch.ts';
import { createTestClock } from '../harness/test-clock.ts';
import { startKubeFixture, type KubeFixture } from './fixture.ts';

interface SelfReview extends KubeObject {
  readonly status?: { readonly userInfo: { readonly username: string } };
}
const SELF_REVIEW: Kind<SelfReview> = {
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'selfsubjectreviews',
  kind: 'SelfSubjectReview',
  namespaced: false,
};

let fixture: KubeFixture;
before(async () => {
  fixture = await startKubeFixture();
});
after(() => fixture.close());

async function connect(t: CleanUp, options: Partial<ConnectOptions>): Promise<KubeClient> {
  const client = await connectKube({ userAgent: 'test', environment: {}, clock: systemClock, ...options });
  t.after(() => void client.close());
  return client;
}

const whoAmI = async (client: KubeClient): Promise<string | undefined> =>
  (await client.create(SELF_REVIEW, { metadata: {} })).status?.userInfo.username;

async function account(
  name: string,
): Promise<{ readonly namespace: string; readonly name: string; readonly uid: string }> {
  const namespace = 'default';
  const made = await fixture.admin.create(
    { group: '', version: 'v1', plural: 'serviceaccounts', kind: 'ServiceAccount', namespaced: true },
    { metadata: { name, namespace } },
  );
  return { namespace, name, uid: made.metadata.uid };
}

test("a kubeconfig with a client's certificate", async (t) => {
  const client = await connect(t, { kubeconfigPath: fixture.server.kubeconfigOf('somebody') });
  assert.equal(await whoAmI(client), 'somebody');
});

test('KUBECONFIG names the file where nothing else does', async (t) => {
  const before = process.env['KUBECONFIG'];
  process.env['KUBECONFIG'] = fixture.server.kubeconfigOf('by-variable');
  t.after(() => (before === undefined ? delete process.env['KUBECONFIG'] : (process.env['KUBECONFIG'] = before)));
  const client = await connect(t, { environment: process.env });
  assert.equal(await whoAmI(client), 'by-variable');
});

test('a kubeconfig that cannot be read, or names no cluster, is a failure of configuration', async (t) => {
  const empty = join(scratchFolder(t), 'empty');
  writeFileSync(empty, 'apiVersion: v1\nkind: Config\n');
  for (const kubeconfigPath of ['/nowhere/config', empty])
    await assert.rejects(connect(t, { kubeconfigPath }), (error) => hasCode(error, 'KUBE_CONFIG'));
});

test('an exec plug-in is asked for a token, and again when its token is refused', async (t) => {
  const folder = scratchFolder(t);
  const accountOf = await account('by-plug-in');
  const issue = (expiresInSeconds: number): void => {
    const token = fixture.server.token({ ...accountOf, expiresInSeconds });
    const credential = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token } };
    writeFileSync(join(folder, 'credential.json'), JSON.stringify(credential));
  };
  const plugin = join(folder, 'plug-in');
  writeFileSync(plugin, `#!/bin/sh\necho asked >>${folder}/asked\ncat ${folder}/credential.json\n`);
  chmodSync(plugin, 0o755);
  const kubeconfigPath = kubeconfig(folder, {
    exec: { apiVersion: 'client.authentication.k8s.io/v1', command: plugin, interactiveMode: 'Never' },
  });
  const asked = (): number => readFileSync(join(folder, 'asked'), 'utf8').trim().split('\n').length;
  issue(600);
  const client = await connect(t, { kubeconfigPath });
  for (let at = 0; at < 3; at++) assert.equal(await whoAmI(client), 'system:serviceaccount:default:by-plug-in');
  assert.equal(asked(), 1);
  issue(-60);
  const second = await connect(t, { kubeconfigPath });
  await assert.rejects(whoAmI(second), (error) => hasCode(error, 'KUBE_UNAUTHORIZED'));
  issue(600);
  assert.equal(await whoAmI(second), 'system:serviceaccount:default:by-plug-in');
});

test('a token file that a kubeconfig names is read again when its token is refused', async (t) => {
  const folder = scratchFolder(t);
  const accountOf = await account('by-file');
  const issue = (expiresInSeconds: number): void =>
    writeFileSync(join(folder, 'token'), `${fixture.server.token({ ...accountOf, expiresInSeconds })}\n`);
  issue(-60);
  const client = await connect(t, { kubeconfigPath: kubeconfig(folder, { tokenFile: 'token' }) });
  await assert.rejects(whoAmI(client), (error) => hasCode(error, 'KUBE_UNAUTHORIZED'));
  issue(600);
  assert.equal(await whoAmI(client), 'system:serviceaccount:default:by-file');
});

test('a pod signs in with its service account; a token that was renewed is used within the request that the old one failed', async (t) => {
  const folder = scratchFolder(t);
  const accountOf = await account('of-pod');
  const issue = (expiresInSeconds: number): void =>
    writeFileSync(join(folder, 'token'), fixture.server.token({ ...accountOf, expiresInSeconds }));
  cpSync(fixture.server.caPath, join(folder, 'ca.crt'));
  issue(600);
  const { hostname, port } = new URL(fixture.server.url);
  const environment = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
  const clock = createTestClock();
  const client = await connect(t, { environment, serviceAccountFolder: folder, clock });
  assert.equal(await whoAmI(client), 'system:serviceaccount:default:of-pod');
  // Read by now, the clock stands still: only being refused makes it look again.
  issue(-60);
  const late = await connect(t, { environment, serviceAccountFolder: folder, clock });
  await assert.rejects(whoAmI(late), (error) => hasCode(error, 'KUBE_UNAUTHORIZED'));
  issue(600);
  assert.equal(await whoAmI(late), 'system:serviceaccount:default:of-pod');
  assert.equal(await whoAmI(client), 'system:serviceaccount:default:of-pod');
});

test('a token that runs out while it is used is replaced without a failure, once there is another', async (t) => {
  const folder = scratchFolder(t);
  const { proxy, server } = fixture;
  const accountOf = await account('long-runner');
  const issue = (expiresInSeconds: number): void => {
    // As the kubelet does it: a new file in the place of the old.
    writeFileSync(join(folder, 'token.new'), server.token({ ...accountOf, expiresInSeconds }));
    renameSync(join(folder, 'token.new'), join(folder, 'token'));
  };
  issue(600);
  cpSync(server.caPath, join(folder, 'ca.crt'));
  const { hostname, port } = new URL(proxy.url);
  const environment = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
  const client = await connect(t, { environment, serviceAccountFolder: folder, clock: createTestClock() });
  await whoAmI(client);
  const planRefusal = (): void =>
    proxy.plan({ fault: { kind: 'answer', answer: statusAnswer(401, 'Unauthorized') }, times: 1 });
  // The file has no other yet: asking again would change nothing.
  planRefusal();
  await assert.rejects(whoAmI(client), (error) => hasCode(error, 'KUBE_UNAUTHORIZED'));
  await whoAmI(client);
  issue(900);
  planRefusal();
  assert.equal(await whoAmI(client), 'system:serviceaccount:default:long-runner');
  assert.deepEqual(proxy.unmet(), []);
  proxy.clear();
});

test('a pod without its files says which', async (t) => {
  const environment = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '1' };
  const client = await connect(t, { environment, serviceAccountFolder: scratchFolder(t) });
  await assert.rejects(whoAmI(client), (error) => hasCode(error, 'KUBE_CONFIG'));
});

test("when another authority signs the server's certificate, the new file counts from the first failure on", async (t) => {
  const folder = scratchFolder(t);
  const { server, token } = fixture;
  writeFileSync(join(folder, 'token'), token);
  const authorities = ['first', 'second'].map((name) => {
    mkdirSync(join(folder, name));
    return createAuthority(join(folder, name), name);
  });
  const startProxy = (at: number, port?: number): Promise<FaultProxy> => {
    const authority = authorities[at];
    assert.ok(authority !== undefined);
    const { certificate, key } = authority.issue('proxy', { commonName: 'proxy', names: ['IP:127.0.0.1'] });
    return FaultProxy.start({
      ...(port === undefined ? {} : { port }),
      target: server.url,
      targetCa: readFileSync(server.caPath, 'utf8'),
      tls: { cert: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') },
    });
  };
  const trust = (at: number): void => cpSync(authorities[at]?.certificate ?? '', join(folder, 'ca.crt'));
  trust(0);
  let proxy = await startProxy(0);
  const { hostname, port } = new URL(proxy.url);
  const environment = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
  const client = await connect(t, { environment, serviceAccountFolder: folder, clock: createTestClock() });
  await whoAmI(client);
  await proxy.close();
  proxy = await startProxy(1, Number(port));
  t.after(() => void proxy.close());
  await assert.rejects(whoAmI(client), (error) => hasCode(error, 'KUBE_UNAVAILABLE'));
  trust(1);
  assert.equal(await whoAmI(client), 'system:serviceaccount:default:test-admin');
});

function kubeconfig(folder: string, user: object): string {
  const path = join(folder, 'config');
  const cluster = { server: fixture.server.url, 'certificate-authority': fixture.server.caPath };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'user', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'user' } }],
    'current-context': 'test',
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}
