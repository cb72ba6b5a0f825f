// Bundles the command into dist/ for the published package: Node strips no types below node_modules. Our own code only; dependencies
// stay packages. Worker threads are started as `new Worker(new URL('./x.ts', import.meta.url))`: each such file becomes an entry of
// its own, and the name in the text is changed to the bundle's.
//
// One CommonJS file an entry: an ECMAScript module makes Node load all of each built-in module it imports from, lazy parts
// included, and lex what packages export. That cost the command 15 ms of every run and a lane 25 ms (Node 24.21).
import { readFile, rm, writeFile } from 'node:fs/promises';
import { globSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { bundlePage } from './recovery-kit-page.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const outdir = resolve(root, 'dist');
const WORKER_URL = /new URL\('(\.{1,2}\/[^']+)\.ts', import\.meta\.url\)/g;

/** What is started by itself, by the name of its bundle. */
const PROGRAMS: Readonly<Record<string, string>> = {
  main: 'cli/main.ts',
  agent: 'agent/main.ts',
  controller: 'controller/main.ts',
  'restore-helper': 'restore-helper/main.ts',
};

async function workerFiles(): Promise<string[]> {
  const found = new Set<string>();
  for (const file of globSync('{base,repo-format,mover,kube,program,agent,controller,cli}/**/*.ts', {
    cwd: root,
    exclude: ['**/*.test.ts', '**/browser/**'],
  })) {
    const path = resolve(root, file);
    for (const [, relative] of (await readFile(path, 'utf8')).matchAll(WORKER_URL))
      found.add(resolve(dirname(path), `${relative}.ts`));
  }
  return [...found].sort();
}

const bundleName = (path: string): string => basename(path, '.ts');

// Everything lands flat in dist/, so a worker is a sibling of whatever starts it.
const workerUrls: Plugin = {
  name: 'worker-urls',
  setup(plugin) {
    plugin.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const contents = text.replaceAll(
        WORKER_URL,
        (_match, relative: string) => `new URL('./${bundleName(relative)}.cjs', import.meta.url)`,
      );
      return { contents, loader: 'ts' };
    });
  },
};

async function bundle(): Promise<void> {
  const workers = await workerFiles();
  const entryPoints = Object.fromEntries([
    ...Object.entries(PROGRAMS).map(([name, path]) => [name, resolve(root, path)]),
    ...workers.map((path) => [bundleName(path), path]),
  ]) as Record<string, string>;
  if (Object.keys(entryPoints).length !== workers.length + Object.keys(PROGRAMS).length)
    throw new Error(`two entry points have one name: ${workers.join(', ')}`);
  await rm(outdir, { recursive: true, force: true });
  const { metafile } = await build({
    entryPoints,
    outdir,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    // What is imported when it is wanted stays so: esbuild runs such a part of the file at its first import.
    define: { 'import.meta.url': 'moduleUrl' },
    banner: { js: "const moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
    target: 'node24',
    packages: 'external',
    plugins: [workerUrls],
    metafile: true,
    logLevel: 'warning',
  });
  await writeFile(resolve(outdir, 'recovery-kit.html'), await bundlePage());
  const sizeBytes = Object.values(metafile.outputs).reduce((sum, output) => sum + output.bytes, 0);
  console.log(`dist/: ${Object.keys(metafile.outputs).length} files, ${Math.round(sizeBytes / 1024)} KiB`);
}

await bundle();
