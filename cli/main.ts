// Entry of the `windlass` command. Answers `--version` before loading anything else, runs the command, and leaves with its exit code.
import { readFileSync } from 'node:fs';

function version(): string {
  // One folder up in a clone (cli/) and in the package (dist/) alike.
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version; // our own file
}

async function main(args: readonly string[]): Promise<void> {
  if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
    process.stdout.write(`${version()}\n`);
    return;
  }
  const { runCli } = await import('./run.ts');
  const exitCode = await runCli(args, version());
  // Output to files and pipes is synchronous on Linux, so nothing is cut off here; idle worker threads need not be waited for.
  process.exit(exitCode);
}

await main(process.argv.slice(2));
