// The last snapshot of each repository by kopia 0.23 is restored and backed up again into the same repository. An equal tree
// must get kopia's own root object id: everything dedupes, and neither program sees a difference. Needs no kopia.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import { backupTree, restoreSnapshot } from '../../mover/index.ts';
import { listSnapshots } from '../../repo-format/index.ts';
import { kopiaAlgorithmNames, openKopiaAlgorithm } from '../harness/golden-repository.ts';
import { scratchFolder } from '../harness/scratch.ts';

const skip = process.getuid?.() === 0 ? false : 'the trees belong to root, so only root restores them exactly';

for (const name of kopiaAlgorithmNames()) {
  test(`a tree of ${name}, restored and backed up again, keeps kopia's root object id`, { skip }, async (t) => {
    const folder = scratchFolder(t, 'root-ids');
    const repository = await openKopiaAlgorithm(t, name, { folder, readOnly: false });
    const deps = { clock: systemClock, random: systemRandom, logger: silentLogger };
    const snapshots = await listSnapshots(repository.manifests, {}, t.signal);
    const manifest = snapshots.at(-1);
    assert.ok(manifest?.rootEntry);
    const target = join(folder, 'src');
    await restoreSnapshot(repository, { manifest, subPath: '', target }, deps, t.signal);
    const { source } = manifest;
    // Version 1 compresses below the content hash, so ids there depend on the compressor's own bytes: kept files keep theirs.
    const parents = repository.format.config.version === 1 ? (['auto'] as const) : (['none', 'auto'] as const);
    for (const parent of parents) {
      const options = { path: target, source, parent };
      const again = await backupTree(repository, options, deps, t.signal);
      assert.equal(again.manifest.rootEntry?.objectId, manifest.rootEntry.objectId, `parent ${parent}`);
      assert.equal(again.newContents, 1, `parent ${parent}: nothing was new but the manifest`);
    }
  });
}
