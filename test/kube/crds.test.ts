// Our CustomResourceDefinitions on a real API server, before Velero's and after.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { hasCode } from '../../base/errors.ts';
import { KINDS, type PodVolumeBackup } from '../../kube/index.ts';
import { CRD_FOLDER, definitionFacts, type Facts } from '../harness/crd-files.ts';
import { printVeleroCrds } from '../harness/velero-crds.ts';
import { startKubeFixture, type KubeFixture } from './fixture.ts';

let fixture: KubeFixture;
before(async () => {
  fixture = await startKubeFixture();
});
after(() => fixture.close());

test('what is known of Velero by heart is what the program says', async () => {
  const list = JSON.parse(await printVeleroCrds(fixture.server.folder)) as {
    items: Parameters<typeof definitionFacts>[0];
  };
  const known = JSON.parse(
    readFileSync(new URL('../golden/velero-crds/v1.18.3.json', import.meta.url), 'utf8'),
  ) as Facts;
  const said = definitionFacts(list.items.filter(({ metadata }) => metadata.name in known));
  assert.deepEqual(said, known);
});

test('they are served, check what is written, and show what it is about', async () => {
  const { server, client } = fixture;
  await server.kubectl(['apply', '--server-side', '-f', CRD_FOLDER]);
  await server.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
  const namespace = await fixture.namespace();
  const spec = {
    node: 'node-1',
    pod: { name: 'p', namespace: 'apps' },
    volume: 'v',
    backupStorageLocation: 'default',
    repoIdentifier: '',
  };
  const status = { phase: 'InProgress', progress: { totalBytes: 10, bytesDone: 4 } } as const;
  const made = await client.create<PodVolumeBackup>(KINDS.podVolumeBackup, {
    metadata: { name: 'one', namespace },
    spec,
    status,
  });
  assert.deepEqual(made.status, status);
  const shown = await server.kubectl(['get', 'podvolumebackups', '-n', namespace]);
  assert.match(shown, /^NAME +STATUS +STARTED +BYTES DONE +TOTAL BYTES +STORAGE LOCATION +AGE +NODE +UPLOADER\n/);
  assert.match(shown, /^one +InProgress +4 +10 +default/m);
  const wrong = [{ status: { phase: 'Lost' } }, { spec: { node: null } }, { spec: { uploaderType: 'rsync' } }];
  for (const change of wrong)
    await assert.rejects(client.patch(KINDS.podVolumeBackup, made.metadata, change), (error) =>
      hasCode(error, 'KUBE_INVALID'),
    );
});

test("Velero's own take their place, and what was there stays", async () => {
  const { server, client } = fixture;
  await server.kubectl(
    ['apply', '--server-side', '--force-conflicts', '-f', '-'],
    await printVeleroCrds(server.folder),
  );
  await server.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
  const { items } = await client.list(KINDS.podVolumeBackup, {});
  assert.equal(items[0]?.status?.progress?.bytesDone, 4);
});
