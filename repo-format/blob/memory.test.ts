import { blobStorageSuite } from '../../test/harness/blob-storage-suite.ts';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { createMemoryStorage } from './memory.ts';

blobStorageSuite('memory storage', async () => createMemoryStorage({ clock: createTestClock() }));
