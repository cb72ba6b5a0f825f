// Compiles the WebAssembly text modules of the tree into TypeScript files that carry them as base64, so that nothing has to
// be read or compiled from disk at run time. Run it after changing a .wat file: `node scripts/build-wasm.ts`. The result is
// committed; a test rebuilds it and compares.
import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import wabt from 'wabt';

export interface WasmModule {
  /** Path of the text module from the root of the tree. */
  readonly source: string;
  /** Path of the generated file. */
  readonly target: string;
  /** The constant it exports. */
  readonly constant: string;
}

export const WASM_MODULES: readonly WasmModule[] = [
  {
    source: 'repo-format/splitter/boundary-scanner.wat',
    target: 'repo-format/splitter/boundary-scanner-wasm.ts',
    constant: 'BOUNDARY_SCANNER_WASM',
  },
  {
    source: 'repo-format/ecc/shard-combiner.wat',
    target: 'repo-format/ecc/shard-combiner-wasm.ts',
    constant: 'SHARD_COMBINER_WASM',
  },
];

const ROOT = new URL('../', import.meta.url);

export function treePath(path: string): string {
  return fileURLToPath(new URL(path, ROOT));
}

/** The text of the generated file. Deterministic: no debug names, no dates. */
export async function renderWasmModule(module: WasmModule): Promise<string> {
  const name = basename(module.source);
  const compiler = await wabt();
  const text = await readFile(treePath(module.source), 'utf8');
  const parsed = compiler.parseWat(name, text, { simd: true, relaxed_simd: true });
  try {
    parsed.validate();
    const { buffer } = parsed.toBinary({});
    const base64 = Buffer.from(buffer).toString('base64');
    const lines = base64.match(/.{1,110}/g) ?? [];
    const body = lines.map((line) => `  '${line}'`).join(' +\n');
    return `// Generated from ${name} by scripts/build-wasm.ts. Do not edit.\n\n// prettier-ignore\nexport const ${module.constant} =\n${body};\n`;
  } finally {
    parsed.destroy();
  }
}

if (import.meta.main) {
  for (const module of WASM_MODULES) await writeFile(treePath(module.target), await renderWasmModule(module));
}
