// Entry of the `windlass` command. Answers `--version` before loading anything else, runs the command, and leaves with its exit code.
import { readFileSync } from 'node:fs';

const LINGER_MS = 2000;
const EXIT_FAILED = 1;

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
  process.exitCode = exitCode;
  // Not process.exit(): it joins V8's compiler threads while one of them may wait for this thread to collect garbage, and
  // then never returns (Node 24.21, seen once in twenty short runs). Leaving by the end of all work has no such wait.
  // Should something keep the process alive that has no work left, it is given this long.
  setTimeout(() => process.exit(exitCode), LINGER_MS).unref();
}

// Not awaited, because the bundle is no ECMAScript module. Should nothing be left to wait for before there is an outcome, Node
// would leave with success.
const onEarlyEnd = (code: number): void => {
  if (code === 0) process.exitCode = EXIT_FAILED;
};
process.once('exit', onEarlyEnd);
void main(process.argv.slice(2)).then(() => process.off('exit', onEarlyEnd));
