// Chooses how shards are combined.
import { combinePlainly, type CombineShards } from './plain-combiner.ts';
import { createWasmCombine } from './wasm-combiner.ts';

/** In WebAssembly where that can run, else in plain TypeScript. One per thread: it has working memory. */
export function createCombineShards(): CombineShards {
  return createWasmCombine() ?? combinePlainly;
}
