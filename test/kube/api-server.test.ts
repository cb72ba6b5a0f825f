// The ground that the suite stands on: the server is real, its tokens expire, old versions are forgotten, the proxy before it passes
// what it is not told to break.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startApiServer, type ApiServer } from '../harness/api-server.ts';
import { startKubeProxy } from '../harness/kube-proxy.ts';

let server: ApiServer;
before(async () => {
  server = await startApiServer();
});
after(() => server.stop());

test("Velero's definitions are served", async () => {
  await server.applyVeleroCrds();
  const kinds = await server.kubectl(['api-resources', '--api-group=velero.io', '-o', 'name']);
  assert.match(kinds, /^podvolumebackups\.velero\.io$/m);
  assert.match(kinds, /^datauploads\.velero\.io$/m);
});

test('a token is good until it expires, through a proxy too', async (t) => {
  const proxy = await startKubeProxy(server);
  t.after(() => proxy.close());
  await server.kubectl(['create', 'serviceaccount', 'default']);
  const uid = await server.kubectl(['get', 'serviceaccount', 'default', '-o', 'jsonpath={.metadata.uid}']);
  const account = { namespace: 'default', name: 'default', uid };
  const whoami = (file: string, expiresInSeconds: number): Promise<string> => {
    const path = server.kubeconfigWithToken(file, server.token({ ...account, expiresInSeconds }), proxy.url);
    return server.kubectl([`--kubeconfig=${path}`, 'auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}']);
  };
  assert.equal(await whoami('good', 600), 'system:serviceaccount:default:default');
  await assert.rejects(whoami('expired', -60), /Unauthorized/);
});

test('what was compacted away cannot be resumed, and the server comes back on the same port', async () => {
  const { url } = server;
  await server.compact();
  await server.restart();
  assert.equal(server.url, url);
  const path = '/api/v1/namespaces?watch=true&resourceVersion=1&timeoutSeconds=1';
  assert.match(await server.kubectl(['get', `--raw=${path}`]), /"code":410/);
});
