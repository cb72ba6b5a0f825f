// The fault matrix on versitygw: docs/storage-faults.md.
import { startS3FaultStore } from '../harness/fault-store-s3.ts';
import { faultSuite } from '../harness/fault-suite.ts';

faultSuite('versitygw', startS3FaultStore);
