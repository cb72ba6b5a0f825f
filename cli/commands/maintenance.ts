// `windlass maintenance …`: keep a repository small and fast; see and change who does so and when.
import { Option, type Command } from 'commander';
import { parseBoolean, parseCount, parseDurationNs, parsePositive, parseSizeBytes } from '../option-values.ts';
import { withExamples, type Runner } from '../command-runner.ts';
import type { RunOptions } from '../maintenance/run.ts';
import type { SetOptions } from '../maintenance/set.ts';

export function defineMaintenanceCommands(program: Command, run: Runner): void {
  const group = program.command('maintenance').description('free space, tidy indexes; who does so and how often');
  defineRun(group, run);
  defineInfo(group, run);
  defineSet(group, run);
}

function defineRun(group: Command, run: Runner): void {
  withExamples(
    group
      .command('run')
      .description(
        'do what is due, or one cycle: quick keeps indexes few, full also frees the space of deleted snapshots',
      )
      .option('--quick', 'a quick cycle now, whatever the schedule says')
      .option('--full', 'a full cycle now')
      .addOption(
        new Option('--safety <level>', 'none frees space at once, but only where nothing else uses the repository')
          .choices(['full', 'none'])
          .default('full'),
      )
      .option('-n, --dry-run', 'say what would be done; write nothing')
      .option('--force', 'also when another client is the owner, in a repository of Velero, or beside open sessions')
      .action(async (options: RunOptions, command: Command) => {
        await run(command, async (context) => (await import('../maintenance/run.ts')).runCommand(context, options));
      }),
    ['windlass maintenance run', 'windlass maintenance run --full --dry-run', 'windlass maintenance run --full --json'],
  );
}

function defineInfo(group: Command, run: Runner): void {
  withExamples(
    group
      .command('info')
      .description('show the owner, the schedule and how the last runs went')
      .action(async (_options: object, command: Command) => {
        await run(command, async (context) => (await import('../maintenance/info.ts')).infoCommand(context));
      }),
    ['windlass maintenance info', 'windlass maintenance info --json'],
  );
}

function defineSet(group: Command, run: Runner): void {
  withExamples(
    group
      .command('set')
      .description('change who maintains the repository, and how often')
      .option('--owner <user@host>', 'the one client that runs maintenance; me for this one')
      .option('--enable-quick <boolean>', 'whether quick cycles become due', parseBoolean)
      .option('--enable-full <boolean>', 'whether full cycles become due', parseBoolean)
      .option('--quick-interval <duration>', 'time between quick cycles, such as 1h', parseDurationNs)
      .option('--full-interval <duration>', 'time between full cycles, such as 24h', parseDurationNs)
      .option('--pause-quick <duration>', 'no quick cycle for so long', parseDurationNs)
      .option('--pause-full <duration>', 'no full cycle for so long', parseDurationNs)
      .option('--max-retained-log-count <n>', 'diagnostic logs to keep', parseCount)
      .option('--max-retained-log-age <duration>', 'age of logs to keep, such as 30d', parseDurationNs)
      .option('--max-retained-log-size <size>', 'bytes of logs to keep', parseSizeBytes)
      .option('--extend-object-locks <boolean>', 'renew object locks in full cycles', parseBoolean)
      .option('--list-parallelism <n>', 'lists of packs at a time', parsePositive)
      .option('--force', 'also in a repository of Velero')
      .action(async (options: SetOptions, command: Command) => {
        await run(command, async (context) => (await import('../maintenance/set.ts')).setCommand(context, options));
      }),
    ['windlass maintenance set --owner me', 'windlass maintenance set --full-interval 12h --enable-quick true'],
  );
}
