// How many bytes go into how many shards (repository format §3.4). Writer and reader derive the same layout, one from the
// length of the data, one from the length of what is stored; nothing of it is written down.

/** Before the data: its length, big-endian. */
export const LENGTH_BYTES = 4;
/** Before each shard: CRC-32 (IEEE), big-endian. */
export const CRC_BYTES = 4;

// Short inputs use few shards: with many, the checksums would outweigh the data.
const SMALL_DATA_SHARDS = 6;
const SMALL_PARITY_SHARDS = 2;

export interface ShardLayout {
  readonly blocks: number;
  readonly dataShards: number;
  readonly parityShards: number;
  readonly shardBytes: number;
  /** Whether zeros that fill the last block are stored, too. */
  readonly storesPadding: boolean;
}

export interface ShardParameters {
  readonly dataShards: number;
  readonly parityShards: number;
  readonly maxShardBytes: number;
}

export function shardParameters(overheadPercent: number): ShardParameters {
  const maxShardBytes = maxShardBytesFor(overheadPercent);
  // Single precision, as kopia computes it: another rounding would be another layout.
  const checksumPercent = Math.fround((100 * CRC_BYTES) / maxShardBytes);
  const free = Math.max(Math.fround(overheadPercent - checksumPercent), Math.fround(0.01));
  const parityShards = clamp(Math.floor(128 * Math.fround(free / 100)), 1, 128);
  if (parityShards > 1) return { dataShards: 128, parityShards, maxShardBytes };
  // Two parity shards at least; then the overhead is met by more data shards.
  return { dataShards: clamp(Math.floor(2 * Math.fround(100 / free)), 128, 254), parityShards: 2, maxShardBytes };
}

function maxShardBytesFor(overheadPercent: number): number {
  if (overheadPercent <= 1) return 1024;
  if (overheadPercent === 2) return 512;
  if (overheadPercent === 3) return 256;
  return overheadPercent <= 6 ? 128 : 64;
}

export function layoutForData(parameters: ShardParameters, dataLength: number): ShardLayout {
  const { dataShards, parityShards, maxShardBytes } = parameters;
  const length = dataLength + LENGTH_BYTES;
  if (length <= smallInputLimit(parameters)) return smallLayout(Math.ceil(length / SMALL_DATA_SHARDS));
  if (length <= dataShards * maxShardBytes) {
    return { blocks: 1, dataShards, parityShards, shardBytes: Math.ceil(length / dataShards), storesPadding: true };
  }
  const blocks = Math.ceil(length / (dataShards * maxShardBytes));
  return { blocks, dataShards, parityShards, shardBytes: maxShardBytes, storesPadding: false };
}

export function layoutForStored(parameters: ShardParameters, storedLength: number): ShardLayout {
  const { dataShards, parityShards, maxShardBytes } = parameters;
  const shards = dataShards + parityShards;
  const smallShards = SMALL_DATA_SHARDS + SMALL_PARITY_SHARDS;
  const smallLimit = smallShards * (CRC_BYTES + Math.ceil(smallInputLimit(parameters) / SMALL_DATA_SHARDS));
  if (storedLength <= smallLimit) return smallLayout(shardBytesFromStored(storedLength, smallShards));
  if (storedLength <= shards * (CRC_BYTES + maxShardBytes)) {
    const shardBytes = shardBytesFromStored(storedLength, shards);
    return { blocks: 1, dataShards, parityShards, shardBytes, storesPadding: true };
  }
  const blocks = Math.ceil(storedLength / (shards * (CRC_BYTES + maxShardBytes)));
  return { blocks, dataShards, parityShards, shardBytes: maxShardBytes, storesPadding: false };
}

/** The stored length of `dataLength` bytes: parity shards of all blocks in full, then the data shards. */
export function storedBytes(layout: ShardLayout, dataLength: number): number {
  const { blocks, dataShards, parityShards, shardBytes, storesPadding } = layout;
  const parityBytes = blocks * parityShards * (CRC_BYTES + shardBytes);
  const storedData = storesPadding ? blocks * dataShards * shardBytes : LENGTH_BYTES + dataLength;
  return parityBytes + storedData + CRC_BYTES * Math.ceil(storedData / shardBytes);
}

function smallInputLimit({ dataShards, parityShards }: ShardParameters): number {
  return 2 * CRC_BYTES * (dataShards + parityShards);
}

function smallLayout(shardBytes: number): ShardLayout {
  return {
    blocks: 1,
    dataShards: SMALL_DATA_SHARDS,
    parityShards: SMALL_PARITY_SHARDS,
    shardBytes,
    storesPadding: true,
  };
}

function shardBytesFromStored(storedLength: number, shards: number): number {
  return Math.max(Math.ceil(storedLength / shards) - CRC_BYTES, 1);
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
