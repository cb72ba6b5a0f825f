// Makes the page of recovery kits from cli/recovery-kit/browser, script and style inside. Runs when the package is built, which
// carries the result; `node scripts/recovery-kit-page.ts` prints it, for a kit made from a clone.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const BROWSER = new URL('../cli/recovery-kit/browser/', import.meta.url);
const file = (name: string): string => fileURLToPath(new URL(name, BROWSER));

/** What the engine imports from Node and from native addons, and what stands in for it on a page. */
function standInFor(name: string): string {
  if (name === 'node:crypto') return file('platform/crypto.ts');
  if (name === 'node:zlib') return file('platform/zlib.ts');
  if (name === '@napi-rs/blake-hash') return file('platform/blake.ts');
  return file('platform/absent.cjs');
}

const platform: Plugin = {
  name: 'browser-platform',
  setup(plugin) {
    const filter = /^(?:node:|koffi$|zstd-napi|@napi-rs\/|@aws-sdk\/|@azure\/|@google-cloud\/)/;
    plugin.onResolve({ filter }, ({ path }) => ({ path: standInFor(path) }));
  },
};

/** The page with script and style in it; the places of the kit's own data are left as they are. */
export async function bundlePage(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [file('app.ts')],
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    target: 'es2023',
    minify: true,
    charset: 'ascii',
    legalComments: 'eof',
    define: { SharedArrayBuffer: 'SharedMemory', 'import.meta.url': '""' },
    inject: [file('platform/globals.ts')],
    plugins: [platform],
    logLevel: 'error',
  });
  const script = outputFiles[0]?.text ?? '';
  const [page, style] = await Promise.all([readFile(file('page.html'), 'utf8'), readFile(file('page.css'), 'utf8')]);
  // Functions, so that `$` in a script means nothing. A script must not end its own element.
  return page
    .replace('/*STYLE*/', () => style)
    .replace('/*APP*/', () => script.replaceAll('</script', '<\\/script').replaceAll('<!--', '<\\!--'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(await bundlePage());
