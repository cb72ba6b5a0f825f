// Linear combinations of shards: what both the making of parity and the rebuilding of lost shards come down to.
import { productTable } from './galois-field.ts';

/** Factors of one combination: rows[r][i] is what input i counts for in output r. */
export type FactorRows = readonly Uint8Array[];

/**
 * HOT. Sets output r to the sum over i of rows[r][i] · inputs[i], over GF(2^8). All shards have one length, at most 1024;
 * there are at most 256 inputs and 128 outputs, and none is both.
 */
export type CombineShards = (rows: FactorRows, inputs: readonly Uint8Array[], outputs: readonly Uint8Array[]) => void;

/** In plain TypeScript: where WebAssembly cannot run, and what that is tested against. */
export const combinePlainly: CombineShards = (rows, inputs, outputs) => {
  outputs.forEach((output, r) => {
    output.fill(0);
    inputs.forEach((input, i) => addProducts(output, productTable(rows[r]?.[i] ?? 0), input));
  });
};

function addProducts(target: Uint8Array, products: Uint8Array, shard: Uint8Array): void {
  for (let i = 0; i < target.length; i++) {
    target[i] = (target[i] as number) ^ (products[shard[i] as number] as number);
  }
}
