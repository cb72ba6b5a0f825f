// Computes the parity shards of a block. Four parity shards at a time: for each data shard a table gives, for a byte of it,
// the four contributions packed in one word, so that one look-up serves four shards.
import { interpolationFactors, multiply } from './galois-field.ts';

const SHARDS_PER_WORD = 4;

export interface ParityEncoder {
  /** HOT. Parity shard p of the data shards that follow each other from data[offset]: parity[p] gets its bytes. */
  encode(data: Uint8Array, offset: number, shardBytes: number, parity: readonly Uint8Array[]): void;
}

export function createParityEncoder(dataShards: number, parityShards: number): ParityEncoder {
  const points = Array.from({ length: dataShards }, (_, i) => i);
  const targets = Array.from({ length: parityShards }, (_, i) => dataShards + i);
  const factors = interpolationFactors(points, targets);
  const groups = Array.from({ length: Math.ceil(parityShards / SHARDS_PER_WORD) }, (_, group) =>
    points.map((shard) =>
      packedProducts(
        factors.slice(group * SHARDS_PER_WORD, (group + 1) * SHARDS_PER_WORD).map((row) => row[shard] as number),
      ),
    ),
  );
  let words = new Int32Array(0);

  return {
    encode(data, offset, shardBytes, parity) {
      if (words.length < shardBytes) words = new Int32Array(shardBytes);
      groups.forEach((tables, group) => {
        words.fill(0, 0, shardBytes);
        let start = offset;
        for (const table of tables) {
          addContribution(words, table, data, start, shardBytes);
          start += shardBytes;
        }
        for (let lane = 0; lane < SHARDS_PER_WORD; lane++) {
          const shard = parity[group * SHARDS_PER_WORD + lane];
          if (shard !== undefined) for (let i = 0; i < shardBytes; i++) shard[i] = (words[i] as number) >>> (8 * lane);
        }
      });
    },
  };
}

function packedProducts(factors: readonly number[]): Int32Array {
  return Int32Array.from({ length: 256 }, (_, byte) =>
    factors.reduce((word, factor, lane) => word | (multiply(factor, byte) << (8 * lane)), 0),
  );
}

function addContribution(words: Int32Array, table: Int32Array, data: Uint8Array, start: number, length: number): void {
  for (let i = 0; i < length; i++) {
    words[i] = (words[i] as number) ^ (table[data[start + i] as number] as number);
  }
}
