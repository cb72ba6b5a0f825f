// The smaller door, for worker threads: what reads contents, and nothing that a lane would load for no use (each thread
// loads its modules anew, about 9 MiB for the whole format). Types come from index.ts, which costs nothing.
export { createKeyedHash, type KeyedHash } from './hash/keyed-hash.ts';
export { writeContentKey } from './index/content-id.ts';
export { decompressObject } from './object/object-reader.ts';
export { LaneReader, type LaneReaderData } from './worker/lane-reader.ts';
