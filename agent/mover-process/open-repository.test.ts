import assert from 'node:assert/strict';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../base/logger.ts';
import { MoverFixture } from '../../test/harness/mover-fixture.ts';

test('a repository that was set back to an older state is said to be', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  const errors: unknown[] = [];
  const logger = { ...silentLogger, error: (_message: string, fields?: object) => void errors.push(fields) };
  const backUp = async (runId: string): Promise<void> => {
    writeFileSync(join(volume.path, runId), runId);
    await fixture.backUp(fixture.backupJob(volume, { runId }), { logger });
  };
  await backUp('run-1');
  const copy = join(fixture.folder, 'copy');
  cpSync(fixture.repositoryPath, copy, { recursive: true });
  await backUp('run-2');
  assert.deepEqual(errors, []);
  rmSync(fixture.repositoryPath, { recursive: true });
  cpSync(copy, fixture.repositoryPath, { recursive: true });
  await backUp('run-3');
  assert.deepEqual(errors, [{ code: 'REPOSITORY_ROLLED_BACK', what: 'index-blobs' }]);
});
