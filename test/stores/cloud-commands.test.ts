// Commands on repositories in Azure Blob Storage and Google Cloud Storage, alone and in turns with kopia.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { scanTree } from '../harness/scan-tree.ts';
import { backUpByKopia, backUpByWindlass, kopiaVerifiesAll, listByKopia, listByWindlass } from '../kopia/pair.ts';
import { changePlainTree, makePlainTree } from '../kopia/source-tree.ts';
import { type CloudServer, openCloudPair, startAzure, startGcs } from './cloud-pair.ts';

const SMALL = 3_000_000;

for (const [name, start] of [
  ['Azure Blob Storage', startAzure],
  ['Google Cloud Storage', startGcs],
] as const) {
  describe(name, () => {
    let server: CloudServer;
    before(async () => {
      server = await start();
    });
    after(() => server.stop());

    test('create, back up, list, restore, verify and forget', async (t) => {
      const pair = await openCloudPair(t, server);
      const { windlass, tree } = pair;
      const none = await windlass.run(['snapshot', 'list']);
      assert.match(none.stderr, /^windlass: .*\[REPOSITORY_NOT_FOUND\]\n$/);
      assert.equal(none.code, 10);
      assert.match(
        await windlass.ok('repository', 'create'),
        /created repository [0-9a-f]{16} at \w+:\/\/.*some\/place\//,
      );
      assert.match((await windlass.run(['repository', 'create'])).stderr, /REPOSITORY_EXISTS/);
      makePlainTree(tree, 1, SMALL);
      const first = await backUpByWindlass(windlass, tree);
      changePlainTree(tree, 2);
      const second = await backUpByWindlass(windlass, tree);
      const fresh = pair.anotherWindlass('fresh');
      assert.equal((await listByWindlass(fresh)).length, 2);
      await fresh.ok('snapshot', 'restore', second.id, pair.target('restored'));
      assert.deepEqual(scanTree(pair.target('restored')), scanTree(tree));
      await fresh.ok('snapshot', 'verify');
      await fresh.ok('repository', 'status');
      await windlass.ok('snapshot', 'delete', first.id);
      assert.equal((await listByWindlass(windlass)).length, 1);
      await windlass.ok('maintenance', 'run', '--full');
      await pair.anotherWindlass('after').ok('snapshot', 'verify');
    });

    for (const creator of ['windlass', 'kopia'] as const) {
      test(`in turns with kopia, repository by ${creator}`, async (t) => {
        if (creator === 'kopia' && !server.canKopiaCreate) return t.skip('kopia creates with TLS only');
        const pair = await openCloudPair(t, server);
        const { windlass, kopia, tree } = pair;
        if (kopia === undefined) return t.skip('there is no kopia');
        if (creator === 'windlass') {
          await windlass.ok('repository', 'create');
          await kopia.connect();
          await kopia.ok('maintenance', 'set', '--owner=me');
          await kopia.disableMaintenance();
        } else await kopia.create({});
        await kopia.ok('policy', 'set', '--global', '--keep-latest=1000');
        makePlainTree(tree, 1, SMALL);
        const ours = await backUpByWindlass(windlass, tree);
        const theirs = await backUpByKopia(kopia, tree);
        assert.equal(theirs.rootEntry.obj, ours.rootEntry.obj);
        changePlainTree(tree, 3);
        const theirSecond = await backUpByKopia(kopia, tree);
        const ourSecond = await backUpByWindlass(windlass, tree);
        assert.equal(theirSecond.rootEntry.obj, ourSecond.rootEntry.obj);
        await pair.anotherWindlass('fresh').ok('snapshot', 'restore', theirSecond.id, pair.target('by-windlass'));
        assert.deepEqual(scanTree(pair.target('by-windlass')), scanTree(tree));
        await kopia.ok('snapshot', 'restore', ourSecond.id, pair.target('by-kopia'));
        // Kopia itself does not keep the times of all folders.
        const options = { directoryTimes: false };
        assert.deepEqual(scanTree(pair.target('by-kopia'), options), scanTree(tree, options));
        const ids = (list: readonly { readonly id: string }[]): string[] => list.map(({ id }) => id).sort();
        assert.deepEqual(ids(await listByWindlass(windlass)), ids(await listByKopia(kopia)));
        await windlass.ok('snapshot', 'verify');
        await kopiaVerifiesAll(kopia);
      });
    }
  });
}
