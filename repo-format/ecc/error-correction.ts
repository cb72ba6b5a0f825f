// Error correction around sealed bytes (repository format §3.4): Reed–Solomon over shards that each carry a checksum, so
// that damage is found and, up to the number of parity shards a block, undone. It protects against decay, not against an
// attacker: what comes out still has to be authenticated by the layer below.
import { crc32 } from 'node:zlib';
import { WindlassError } from '../../base/errors.ts';
import { interpolationFactors } from './galois-field.ts';
import type { CombineShards, FactorRows } from './plain-combiner.ts';
import { createCombineShards } from './shard-combiner.ts';
import {
  CRC_BYTES,
  LENGTH_BYTES,
  layoutForData,
  layoutForStored,
  shardParameters,
  storedBytes,
  type ShardLayout,
  type ShardParameters,
} from './shard-layout.ts';

const ECC_ALGORITHMS: readonly string[] = ['REED-SOLOMON-CRC32'];
export const DEFAULT_ECC_ALGORITHM = 'REED-SOLOMON-CRC32';

export interface EccSpec {
  readonly algorithm: string;
  /** From 1 on: about how much longer the stored bytes are. Past 100 it adds little: 128 parity shards are the most. */
  readonly overheadPercent: number;
}

interface CorrectedData {
  readonly data: Uint8Array;
  /** Data shards that were damaged and have been computed anew. 0 when nothing was wrong with the data. */
  readonly repairedShards: number;
}

export interface ErrorCorrection {
  /** How long `encode` makes `length` bytes. */
  encodedBytes(length: number): number;
  encode(data: Uint8Array): Uint8Array;
  /** Checks every shard, repairs what it can. ECC_UNRECOVERABLE when a block lost more shards than it has parity shards. */
  decode(stored: Uint8Array): CorrectedData;
}

export function createErrorCorrection(spec: EccSpec): ErrorCorrection {
  const { algorithm, overheadPercent } = spec;
  if (!ECC_ALGORITHMS.includes(algorithm) || !Number.isInteger(overheadPercent) || overheadPercent < 1) {
    throw new WindlassError(`error correction ${algorithm} with ${overheadPercent}% is not supported`, {
      code: 'FORMAT_UNSUPPORTED',
      context: { algorithm, overheadPercent },
    });
  }
  const parameters = shardParameters(overheadPercent);
  const parityFactorsFor = createFactorCache();
  let shared: CombineShards | undefined;
  const combine: CombineShards = (...shards) => (shared ??= createCombineShards())(...shards);
  return {
    encodedBytes: (length) => storedBytes(layoutForData(parameters, length), length),
    encode(data) {
      const layout = layoutForData(parameters, data.length);
      return encodeShards(data, layout, parityFactorsFor(layout), combine);
    },
    decode: (stored) => decodeShards(stored, parameters, combine),
  };
}

/** There are two shapes, one for short inputs; their factors are computed when first needed. */
function createFactorCache(): (layout: ShardLayout) => FactorRows {
  const cache = new Map<number, FactorRows>();
  return ({ dataShards, parityShards }) => {
    let factors = cache.get(dataShards);
    if (factors === undefined) {
      factors = parityFactors(dataShards, parityShards);
      cache.set(dataShards, factors);
    }
    return factors;
  };
}

/** Data shards are the values at points 0, 1 …; parity shards those at the points after them. */
export function parityFactors(dataShards: number, parityShards: number): FactorRows {
  const points = Array.from({ length: dataShards }, (_, i) => i);
  const targets = Array.from({ length: parityShards }, (_, i) => dataShards + i);
  return interpolationFactors(points, targets);
}

function encodeShards(data: Uint8Array, layout: ShardLayout, factors: FactorRows, combine: CombineShards): Uint8Array {
  const { blocks, dataShards, parityShards, shardBytes, storesPadding } = layout;
  // Length, data, zeros up to a whole number of blocks.
  const padded = new Uint8Array(blocks * dataShards * shardBytes);
  new DataView(padded.buffer).setUint32(0, data.length);
  padded.set(data, LENGTH_BYTES);
  const shards = Array.from({ length: blocks * dataShards }, (_, i) =>
    padded.subarray(i * shardBytes, (i + 1) * shardBytes),
  );

  const stored = new Uint8Array(storedBytes(layout, data.length));
  const view = new DataView(stored.buffer);
  let offset = 0;
  for (let block = 0; block < blocks; block++) {
    const parity = Array.from({ length: parityShards }, (_, i) => {
      const start = offset + i * (CRC_BYTES + shardBytes) + CRC_BYTES;
      return stored.subarray(start, start + shardBytes);
    });
    combine(factors, shards.slice(block * dataShards, (block + 1) * dataShards), parity);
    for (const shard of parity) {
      view.setUint32(offset, crc32(shard));
      offset += CRC_BYTES + shardBytes;
    }
  }
  let left = storesPadding ? padded.length : LENGTH_BYTES + data.length;
  for (let i = 0; left > 0; i++) {
    const shard = shards[i] as Uint8Array;
    const kept = Math.min(shardBytes, left);
    // The checksum covers the padding even where that is not stored.
    view.setUint32(offset, crc32(shard));
    stored.set(kept === shardBytes ? shard : shard.subarray(0, kept), offset + CRC_BYTES);
    offset += CRC_BYTES + kept;
    left -= kept;
  }
  return stored;
}

function decodeShards(stored: Uint8Array, parameters: ShardParameters, combine: CombineShards): CorrectedData {
  const layout = layoutForStored(parameters, stored.length);
  const { blocks, dataShards, parityShards, shardBytes } = layout;
  const recordBytes = CRC_BYTES + shardBytes;
  const parityBytes = blocks * parityShards * recordBytes;
  if (stored.length < parityBytes + CRC_BYTES) throw unrecoverable(stored.length, 'it is cut short');

  // Padding that is not stored is zeros, and needs no repair.
  const padded = new Uint8Array(blocks * dataShards * shardBytes);
  let repairedShards = 0;
  for (let block = 0; block < blocks; block++) {
    const damaged: number[] = [];
    for (let i = 0; i < dataShards; i++) {
      const shard = block * dataShards + i;
      const offset = parityBytes + shard * recordBytes;
      if (offset >= stored.length) break;
      const target = padded.subarray(shard * shardBytes, (shard + 1) * shardBytes);
      target.set(stored.subarray(offset + CRC_BYTES, Math.min(offset + recordBytes, stored.length)));
      if (readChecksum(stored, offset) !== crc32(target)) damaged.push(i);
    }
    if (damaged.length === 0) continue;
    repairBlock(stored, layout, block, padded, damaged, combine);
    repairedShards += damaged.length;
  }
  const length = new DataView(padded.buffer).getUint32(0);
  // The layout follows from the length, so any other length than the one that leads back here is wrong.
  if (length > padded.length || storedBytes(layoutForData(parameters, length), length) !== stored.length) {
    throw unrecoverable(stored.length, 'its length is not the one it records');
  }
  return { data: padded.subarray(LENGTH_BYTES, LENGTH_BYTES + length), repairedShards };
}

/** Computes the `damaged` data shards of a block from the others and as many sound parity shards. */
function repairBlock(
  stored: Uint8Array,
  layout: ShardLayout,
  block: number,
  padded: Uint8Array,
  damaged: readonly number[],
  combine: CombineShards,
): void {
  const { dataShards, parityShards, shardBytes } = layout;
  const points: number[] = [];
  const shards: Uint8Array[] = [];
  const dataShard = (i: number): Uint8Array => {
    const start = (block * dataShards + i) * shardBytes;
    return padded.subarray(start, start + shardBytes);
  };
  for (let i = 0; i < dataShards; i++) {
    if (damaged.includes(i)) continue;
    points.push(i);
    shards.push(dataShard(i));
  }
  for (let i = 0; i < parityShards && points.length < dataShards; i++) {
    const offset = (block * parityShards + i) * (CRC_BYTES + shardBytes);
    const shard = stored.subarray(offset + CRC_BYTES, offset + CRC_BYTES + shardBytes);
    if (readChecksum(stored, offset) !== crc32(shard)) continue;
    points.push(dataShards + i);
    shards.push(shard);
  }
  if (points.length < dataShards) {
    throw unrecoverable(stored.length, `block ${block} lost more shards than its parity can replace`);
  }
  combine(interpolationFactors(points, damaged), shards, damaged.map(dataShard));
}

function readChecksum(stored: Uint8Array, offset: number): number | undefined {
  if (offset + CRC_BYTES > stored.length) return undefined;
  return new DataView(stored.buffer, stored.byteOffset + offset, CRC_BYTES).getUint32(0);
}

function unrecoverable(storedLength: number, reason: string): WindlassError {
  return new WindlassError(`error-corrected data is beyond repair: ${reason}`, {
    code: 'ECC_UNRECOVERABLE',
    context: { storedLength },
  });
}
