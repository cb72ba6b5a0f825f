// `windlass policy show|set`: rules kept in the repository, shared with Kopia.
import type { Command } from 'commander';
import { collect, parseBoolean, parseCount } from '../option-values.ts';
import type { SetOptions } from '../policy/set.ts';
import { withExamples, type Runner } from '../command-runner.ts';

const TARGET_HELP = 'a path, user@host:/path, user@host, @host, or --global';

export function definePolicyCommands(program: Command, run: Runner): void {
  const group = program.command('policy').description('show and change the rules kept in the repository');
  withExamples(
    group
      .command('show')
      .description('show the rules in effect for a target')
      .argument('[target]', TARGET_HELP)
      .option('--global', 'the rules of the whole repository')
      .option('--defined', 'only what is set on this very target')
      .action(
        async (target: string | undefined, options: { global?: boolean; defined?: boolean }, command: Command) => {
          await run(command, async (context) =>
            (await import('../policy/show.ts')).showCommand(context, target, options),
          );
        },
      ),
    ['windlass policy show /home', 'windlass policy show --global --json'],
  );
  withExamples(
    retentionOptions(
      group
        .command('set')
        .description('change rules; a value of inherit takes a rule off this target')
        .argument('[target]', TARGET_HELP)
        .option('--global', 'change the rules of the whole repository'),
    )
      .option('--compression <name>', 'compressor of file contents, none, or inherit')
      .option('--metadata-compression <name>', 'compressor of directories, none, or inherit')
      .option('--splitter <name>', 'how files are cut, or inherit')
      .option('--add-ignore <glob>', 'ignore what matches (may be repeated)', collect)
      .option('--remove-ignore <glob>', 'take an ignore rule off (may be repeated)', collect)
      .option('--clear-ignore', 'take all ignore rules off')
      .option('--one-file-system <bool>', 'stay on one file system', orInherit(parseBoolean))
      .option('--ignore-cache-dirs <bool>', 'leave out folders with CACHEDIR.TAG', orInherit(parseBoolean))
      .option(
        '--ignore-file-errors <bool>',
        'files that cannot be read do not count as errors',
        orInherit(parseBoolean),
      )
      .option(
        '--ignore-dir-errors <bool>',
        'directories that cannot be read do not count as errors',
        orInherit(parseBoolean),
      )
      .option('--max-parallel-file-reads <n>', 'files read at a time', orInherit(parseCount))
      .action(async (target: string | undefined, options: SetOptions, command: Command) => {
        await run(command, async (context) => (await import('../policy/set.ts')).setCommand(context, target, options));
      }),
    [
      'windlass policy set /home --keep-daily 14 --compression zstd-fastest',
      'windlass policy set --global --add-ignore "*.tmp"',
    ],
  );
}

function retentionOptions(command: Command): Command {
  for (const period of ['latest', 'hourly', 'daily', 'weekly', 'monthly', 'annual']) {
    command.option(`--keep-${period} <n>`, `${period} snapshots to keep, or inherit`, orInherit(parseCount));
  }
  return command;
}

/** `inherit` means: not set here. */
function orInherit<T>(parse: (text: string) => T): (text: string) => T | 'inherit' {
  return (text) => (text === 'inherit' ? 'inherit' : parse(text));
}
