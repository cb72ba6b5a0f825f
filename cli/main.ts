// Entry of the `windlass` command. Answers `--version` before loading anything else, turns on Node's cache of compiled code, runs the
// command, and leaves with its exit code.
import { readFileSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { cacheRoot, compileCacheDirectory } from './cache-directory.ts';

function version(): string {
  // One folder up in a clone (cli/) and in the package (dist/) alike.
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version; // our own file
}

function cacheDirectoryOption(args: readonly string[]): string | undefined {
  const at = args.findIndex((arg) => arg === '--cache-dir' || arg.startsWith('--cache-dir='));
  return args[at]?.split('=')[1] ?? args[at + 1];
}

async function main(args: readonly string[]): Promise<void> {
  if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
    process.stdout.write(`${version()}\n`);
    return;
  }
  const named = args.some((arg) => arg.startsWith('--cache-dir')) ? cacheDirectoryOption(args) : undefined;
  const root = cacheRoot(named, process.env);
  // Best effort: without a writable place every start compiles anew.
  if (root !== undefined) enableCompileCache(compileCacheDirectory(root));
  const { runCli } = await import('./run.ts');
  const exitCode = await runCli(args, version());
  // Output to files and pipes is synchronous on Linux, so nothing is cut off here; idle worker threads need not be waited for.
  process.exit(exitCode);
}

await main(process.argv.slice(2));
