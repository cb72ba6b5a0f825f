// `windlass ls`, `cat` and `find`: look into snapshots without restoring them.
import type { Command } from 'commander';
import type { LsOptions } from '../browse/ls.ts';
import { SOURCE_HELP, withExamples, type Runner } from '../command-runner.ts';

export function defineBrowseCommands(program: Command, run: Runner): void {
  withExamples(
    program
      .command('ls')
      .description('list a directory of a snapshot')
      .argument('<path>', 'ID[/sub/path]')
      .option('-l, --long', 'modes, owners, sizes, times and object IDs')
      .option('-R, --recursive', 'directories within, too')
      .option('--source <source>', SOURCE_HELP)
      .action(async (path: string, options: LsOptions, command: Command) => {
        await run(command, async (context) => (await import('../browse/ls.ts')).lsCommand(context, path, options));
      }),
    ['windlass ls 3a58170b', 'windlass ls -l -R latest/etc --source /'],
  );
  withExamples(
    program
      .command('cat')
      .description('print a file of a snapshot')
      .argument('<path>', 'ID/path')
      .option('--source <source>', SOURCE_HELP)
      .action(async (path: string, options: { source?: string }, command: Command) => {
        await run(command, async (context) => (await import('../browse/cat.ts')).catCommand(context, path, options));
      }),
    ['windlass cat 3a58170b/etc/hosts', 'windlass cat latest/shop.sql --source /dumps > shop.sql'],
  );
  withExamples(
    program
      .command('find')
      .description('find files by name in all snapshots')
      .argument('<pattern>', 'glob for the name, or with a slash for the path: "*.conf", "etc/**/hosts"')
      .option('--source <source>', 'only in the snapshots of this source')
      .action(async (pattern: string, options: { source?: string }, command: Command) => {
        await run(command, async (context) =>
          (await import('../browse/find.ts')).findCommand(context, pattern, options),
        );
      }),
    ['windlass find "*.key"', 'windlass find "etc/**/passwd" --source root@web1:/ --json'],
  );
}
