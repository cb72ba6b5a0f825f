import { blobStorageSuite } from '../../../test/harness/blob-storage-suite.ts';
import { scratchFolder } from '../../../test/harness/scratch.ts';
import { createTestClock } from '../../../test/harness/test-clock.ts';
import { systemRandom } from '../../../base/random.ts';
import { openFilesystemStorage } from '../filesystem.ts';
import { createMemoryStorage } from '../memory.ts';
import { readOnlyStorage } from './read-only.ts';

blobStorageSuite('read-only wrapper over memory', async () => {
  const writer = createMemoryStorage({ clock: createTestClock() });
  return { readOnly: readOnlyStorage(writer), writer };
});

blobStorageSuite('read-only wrapper over a folder', async (t) => {
  const options = { path: scratchFolder(t), create: 'current' } as const;
  const writer = await openFilesystemStorage(options, { random: systemRandom });
  return { readOnly: readOnlyStorage(writer), writer };
});
