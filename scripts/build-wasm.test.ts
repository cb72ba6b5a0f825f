import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { WASM_MODULES, renderWasmModule, treePath } from './build-wasm.ts';

for (const module of WASM_MODULES) {
  test(`${module.target} is what ${module.source} compiles to`, async () => {
    const committed = await readFile(treePath(module.target), 'utf8');
    assert.equal(committed, await renderWasmModule(module), 'run `node scripts/build-wasm.ts` and commit the result');
  });
}
