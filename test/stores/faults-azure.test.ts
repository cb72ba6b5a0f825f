// The fault matrix on Azurite: docs/storage-faults.md.
import { startAzureFaultStore } from '../harness/fault-store-azure.ts';
import { faultSuite } from '../harness/fault-suite.ts';

faultSuite('azurite', startAzureFaultStore);
