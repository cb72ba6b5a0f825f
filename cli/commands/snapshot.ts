// `windlass snapshot …`: make, list, look at, keep, check, compare, restore and forget snapshots.
import { type Command, Option } from 'commander';
import {
  collect,
  collectTag,
  parseCount,
  parseDurationNs,
  parsePercent,
  parsePositive,
  parseSizeBytes,
  parseThreads,
} from '../option-values.ts';
import { SOURCE_HELP, withExamples, type Runner } from '../command-runner.ts';
import type { CopyOptions } from '../snapshot/copy.ts';
import type { CreateOptions } from '../snapshot/create.ts';
import type { ExpireOptions } from '../snapshot/expire.ts';
import type { ListOptions } from '../snapshot/list.ts';
import type { VerifyOptions } from '../snapshot/verify.ts';
import { defineRestoreCommand } from './restore.ts';

export function defineSnapshotCommands(program: Command, run: Runner): void {
  const group = program.command('snapshot').description('make, list, inspect, verify, restore and delete snapshots');
  defineCreate(group, run);
  defineList(group, run);
  defineShowAndDelete(group, run);
  defineExpire(group, run);
  definePins(group, run);
  defineVerifyAndDiff(group, run);
  defineCopy(group, run);
  defineRestoreCommand(group, run);
}

function defineCreate(group: Command, run: Runner): void {
  withExamples(
    group
      .command('create')
      .description('back up a directory tree, a file, or with --stdin a stream')
      .argument('[path]', 'what to back up')
      .option('--source <source>', 'record it as user@host:/path instead of the local name')
      .option('--tag <key:value>', 'label the snapshot (may be repeated)', collectTag)
      .option('--description <text>', 'free text kept with the snapshot')
      .option('--pin <name>', 'pin the snapshot under this name (may be repeated)', collect)
      .option('--parent <id>', 'compare with this snapshot instead of the last ones; none reads everything')
      .option('--parallel <n>', 'worker threads, at most 64', parseThreads)
      .option('--compression <name>', 'compress file contents, for example zstd-fastest')
      .option('--exclude <glob>', 'leave out what matches, in .gitignore syntax (may be repeated)', collect)
      .option('--one-file-system', 'do not cross into other file systems')
      .option('--force-hash <percent>', 'read this share of the unchanged files again', parsePercent)
      .option('--fail-fast', 'stop at the first file that cannot be read')
      .option('--max-errors <n>', 'fail after this many files that cannot be read', parseCount)
      .option('--no-check-packs', 'do not look first whether the packs that the index names are there')
      .option('--stdin <name>', 'back up standard input as one file of this name')
      .action(async (path: string | undefined, options: CreateOptions, command: Command) => {
        await run(command, async (context) =>
          (await import('../snapshot/create.ts')).createCommand(context, path, options),
        );
      }),
    [
      'windlass snapshot create /home',
      'windlass snapshot create /srv/data --tag app:web --exclude "*.tmp" --compression zstd-fastest',
      'pg_dump shop | windlass snapshot create --stdin shop.sql',
    ],
  );
}

function defineList(group: Command, run: Runner): void {
  withExamples(
    group
      .command('list')
      .description('list snapshots, oldest first')
      .argument('[source]', 'only those of this path or user@host:/path')
      .option('-a, --all', 'those of all users and hosts')
      .option('--tag <key:value>', 'only those with this label (may be repeated)', collectTag)
      .action(async (source: string | undefined, options: ListOptions, command: Command) => {
        await run(command, async (context) =>
          (await import('../snapshot/list.ts')).listCommand(context, source, options),
        );
      }),
    ['windlass snapshot list', 'windlass snapshot list /home', 'windlass snapshot list --all --json'],
  );
}

function defineShowAndDelete(group: Command, run: Runner): void {
  withExamples(
    group
      .command('show')
      .description('show everything recorded about a snapshot')
      .argument('<id>', 'snapshot ID, a unique beginning of one, or latest')
      .option('--source <source>', SOURCE_HELP)
      .action(async (id: string, options: { source?: string }, command: Command) => {
        await run(command, async (context) => (await import('../snapshot/show.ts')).showCommand(context, id, options));
      }),
    ['windlass snapshot show 3a58170b', 'windlass snapshot show latest --source /home --json'],
  );
  withExamples(
    group
      .command('delete')
      .description('delete snapshots; maintenance frees the space later')
      .argument('<id...>', 'snapshot IDs or unique beginnings')
      .action(async (ids: readonly string[], _options: object, command: Command) => {
        await run(command, async (context) => (await import('../snapshot/delete.ts')).deleteCommand(context, ids));
      }),
    ['windlass snapshot delete 3a58170b101944c0feceb1ffafe894cb'],
  );
}

function defineExpire(group: Command, run: Runner): void {
  withExamples(
    group
      .command('expire')
      .description('delete the snapshots that the stored retention policies do not keep; pinned ones always stay')
      .argument('[source...]', 'only those of these sources: user@host:/path or a local path (default: all)')
      .option('-n, --dry-run', 'say what would go, and delete nothing')
      .option('--force', 'also in a repository that Velero manages')
      .action(async (sources: readonly string[], options: ExpireOptions, command: Command) => {
        await run(command, async (context) =>
          (await import('../snapshot/expire.ts')).expireCommand(context, sources, options),
        );
      }),
    [
      'windlass policy set /home --keep-daily 7 --keep-weekly 4',
      'windlass snapshot expire --dry-run',
      'windlass snapshot expire /home',
    ],
  );
}

function definePins(group: Command, run: Runner): void {
  for (const [verb, what] of [
    ['pin', 'keep a snapshot, whatever the retention policy says'],
    ['unpin', 'take a pin off a snapshot'],
  ] as const) {
    withExamples(
      group
        .command(verb)
        .description(what)
        .argument('<id>', 'snapshot ID, a unique beginning of one, or latest')
        .argument('<name>', 'name of the pin')
        .option('--source <source>', SOURCE_HELP)
        .action(async (id: string, name: string, options: { source?: string }, command: Command) => {
          const pin = { id, name, add: verb === 'pin', source: options.source };
          await run(command, async (context) => (await import('../snapshot/pin.ts')).pinCommand(context, pin));
        }),
      [`windlass snapshot ${verb} 3a58170b release-1`],
    );
  }
}

function defineVerifyAndDiff(group: Command, run: Runner): void {
  withExamples(
    group
      .command('verify')
      .description('check that snapshots can be restored: every directory, and the contents of a share of the files')
      .argument('[id...]', 'snapshot IDs, unique beginnings, or latest (default: all)')
      .option('--source <source>', 'only snapshots of this source: user@host:/path or a local path')
      .option('--percent <n>', 'share of the files whose contents are read and checked', parsePercent, 100)
      .addOption(
        new Option('--depth <depth>', 'structure (as --percent 0) or everything').choices(['structure', 'everything']),
      )
      .option('--max-bytes <size>', 'read packs, longest unverified first, until so much is read', parseSizeBytes)
      .option('--max-minutes <n>', 'the same, until so much time is over', parsePositive)
      .option('--older-than <duration>', 'the same, only packs not verified for so long, such as 30d', parseDurationNs)
      .option('--parallel <n>', 'worker threads, at most 64', parseThreads)
      .action(async (ids: readonly string[], options: VerifyOptions, command: Command) => {
        await run(command, async (context) =>
          (await import('../snapshot/verify.ts')).verifyCommand(context, ids, options),
        );
      }),
    [
      'windlass snapshot verify',
      'windlass snapshot verify 3a58170b --percent 10',
      'windlass snapshot verify --older-than 30d --max-minutes 60',
      'windlass snapshot verify latest --source /home',
    ],
  );
  withExamples(
    group
      .command('diff')
      .description('compare two snapshots or directories in them')
      .argument('<a>', 'ID[/sub/path]')
      .argument('<b>', 'ID[/sub/path]')
      .option('--source <source>', SOURCE_HELP)
      .action(async (a: string, b: string, options: { source?: string }, command: Command) => {
        await run(command, async (context) =>
          (await import('../snapshot/diff.ts')).diffCommand(context, a, b, options),
        );
      }),
    ['windlass snapshot diff 3a58170b 1fcd165f', 'windlass snapshot diff 3a58170b/etc latest/etc --source /'],
  );
}

function defineCopy(group: Command, run: Runner): void {
  withExamples(
    group
      .command('copy')
      .description('copy snapshots to another repository, which may have another password and other settings')
      .argument('[id...]', 'snapshot IDs, unique beginnings, or latest')
      .requiredOption('--to <url>', 'the repository to copy to; it must exist')
      .option('--to-password-file <file>', 'read its password from a file (else WINDLASS_TO_PASSWORD, else a prompt)')
      .option('--all', 'all complete snapshots that it does not have yet')
      .option('--source <source>', 'with --all only those of this source; else where latest is looked up')
      .option('--verify-percent <n>', 'share of the copied files that is read back and checked', parsePercent, 100)
      .action(async (ids: readonly string[], options: CopyOptions, command: Command) => {
        await run(command, async (context) => (await import('../snapshot/copy.ts')).copyCommand(context, ids, options));
      }),
    [
      'windlass snapshot copy --all --to /mnt/second/repo --to-password-file /run/secrets/second',
      'windlass snapshot copy latest --source /home --to s3://bucket/copies/',
    ],
  );
}
