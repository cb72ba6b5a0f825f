// `windlass snapshot restore`: the options of a restore.
import { Option, type Command } from 'commander';
import { parseList, parseThreads } from '../option-values.ts';
import { SOURCE_HELP, withExamples, type Runner } from '../command-runner.ts';
import { SKIPPABLE, type RestoreOptions } from '../snapshot/restore-options.ts';

export function defineRestoreCommand(group: Command, run: Runner): void {
  withExamples(
    group
      .command('restore')
      .description('restore a snapshot, or a file or directory in it, to a target')
      .argument('<id>', 'ID[/sub/path]; latest with --source names the newest of a source')
      .argument('<target>', 'directory to restore into; for a single file, its new name')
      .option('--source <source>', SOURCE_HELP)
      .addOption(
        new Option('--overwrite <when>', 'what to do with files already there')
          .choices(['never', 'if-different', 'always'])
          .default('if-different'),
      )
      .option('--delete-extra', 'delete what is in the target but not in the snapshot')
      .option(
        '--skip <what>',
        `attributes to leave alone: ${SKIPPABLE.join(',')} (comma separated)`,
        parseList(SKIPPABLE),
      )
      .option('--dry-run', 'say what would be done and change nothing')
      .option('--verify', 'read the restored files back and compare them')
      .option('--receipt <file>', 'write a JSON receipt: what was expected, what was done, what did not take')
      .option('--parallel <n>', 'worker threads, at most 64', parseThreads)
      .action(async (id: string, target: string, options: RestoreOptions, command: Command) => {
        await run(command, async (context) =>
          (await import('../snapshot/restore.ts')).restoreCommand(context, id, target, options),
        );
      }),
    [
      'windlass snapshot restore 3a58170b ./restored',
      'windlass snapshot restore latest/etc/hosts ./hosts --source root@web1:/',
      'windlass snapshot restore 3a58170b /srv/data --delete-extra --verify --receipt receipt.json',
    ],
  );
}
