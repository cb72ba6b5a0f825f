// The fault matrix on fake-gcs-server: docs/storage-faults.md.
import { startGcsFaultStore } from '../harness/fault-store-gcs.ts';
import { faultSuite } from '../harness/fault-suite.ts';

faultSuite('fake-gcs', startGcsFaultStore);
