// Combines shards in WebAssembly; shard-combiner.wat says how.
import type { WebAssemblyApi } from '../../base/web-assembly.ts';
import { multiply } from './galois-field.ts';
import type { CombineShards, FactorRows } from './plain-combiner.ts';
import { SHARD_COMBINER_WASM } from './shard-combiner-wasm.ts';

// The memory's layout, as in shard-combiner.wat.
const FACTORS_OFFSET = 8192;
const INPUTS_OFFSET = 40960;
const OUTPUTS_OFFSET = 303104;
const PAGES = 7;
const GROUP_ROWS = 4;
const VECTOR_BYTES = 16;
const MAX_INPUTS = 256;
const MAX_OUTPUTS = 128;
const MAX_SHARD_BYTES = 1024;

type Combine = (stride: number, inputs: number, groups: number) => void;

/** Undefined where WebAssembly is missing or has not the vectors that this needs. */
export function createWasmCombine(): CombineShards | undefined {
  const { WebAssembly } = globalThis as { WebAssembly?: WebAssemblyApi };
  if (WebAssembly === undefined) return undefined;
  try {
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
    const module = new WebAssembly.Module(Buffer.from(SHARD_COMBINER_WASM, 'base64'));
    const { exports } = new WebAssembly.Instance(module, { windlass: { memory } });
    const bytes = new Uint8Array(memory.buffer);
    writeProducts(bytes);
    return combineIn(bytes, (exports as { combine: Combine }).combine);
  } catch {
    return undefined; // by design: plain TypeScript gives the same bytes, slower
  }
}

function writeProducts(bytes: Uint8Array): void {
  for (let factor = 0; factor < 256; factor++) {
    for (let half = 0; half < 16; half++) {
      bytes[factor * 32 + half] = multiply(factor, half);
      bytes[factor * 32 + 16 + half] = multiply(factor, half << 4);
    }
  }
}

function combineIn(bytes: Uint8Array, combine: Combine): CombineShards {
  const packed = new WeakMap<FactorRows, Uint8Array>(); // the factors of parity serve for every block
  return (rows, inputs, outputs) => {
    const shardBytes = outputs[0]?.length ?? 0;
    if (shardBytes === 0 || inputs.length === 0) return;
    if (shardBytes > MAX_SHARD_BYTES || inputs.length > MAX_INPUTS || outputs.length > MAX_OUTPUTS) {
      throw new RangeError('shards do not fit the memory that combines them');
    }
    let factors = packed.get(rows);
    if (factors === undefined) {
      factors = packFactors(rows, inputs.length);
      packed.set(rows, factors);
    }
    bytes.set(factors, FACTORS_OFFSET);
    const stride = Math.ceil(shardBytes / VECTOR_BYTES) * VECTOR_BYTES;
    for (let i = 0, at = INPUTS_OFFSET; i < inputs.length; i++, at += stride) bytes.set(inputs[i] as Uint8Array, at);
    combine(stride, inputs.length, Math.ceil(outputs.length / GROUP_ROWS));
    for (let r = 0, at = OUTPUTS_OFFSET; r < outputs.length; r++, at += stride) {
      (outputs[r] as Uint8Array).set(bytes.subarray(at, at + shardBytes));
    }
  };
}

/** Four rows side by side; rows that fill the last group are zeros. */
function packFactors(rows: FactorRows, inputCount: number): Uint8Array {
  const groups = Math.ceil(rows.length / GROUP_ROWS);
  const factors = new Uint8Array(groups * inputCount * GROUP_ROWS);
  rows.forEach((row, r) => {
    const start = Math.floor(r / GROUP_ROWS) * inputCount * GROUP_ROWS + (r % GROUP_ROWS);
    row.forEach((factor, i) => (factors[start + i * GROUP_ROWS] = factor));
  });
  return factors;
}
