// What the definitions of commands share: how their work is run, and how their help ends.
import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import type { ExitCode } from './exit-codes.ts';

export type Work = (context: CliContext) => Promise<ExitCode>;
/** Runs a command's work with a context made of the options given to `command` and above it. */
export type Runner = (command: Command, work: Work) => Promise<void>;

export const SOURCE_HELP = 'the source that `latest` is looked up in: user@host:/path or a local path';

export function withExamples(command: Command, examples: readonly string[]): Command {
  return command.addHelpText('after', `\nExamples:\n${examples.map((example) => `  $ ${example}`).join('\n')}`);
}
