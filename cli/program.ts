// The command tree: global options, the groups, and what help shows. Defining it loads no engine; each command's work is imported when it runs.
import { Command, Option } from 'commander';
import type { Runner, Work } from './command-runner.ts';
import type { GlobalOptions } from './context.ts';
import { LOG_LEVELS } from './logger.ts';
import { parseBandwidthLimit } from './bandwidth-limit.ts';
import { parsePositive, parseSizeBytes } from './option-values.ts';
import { defineBrowseCommands } from './commands/browse.ts';
import { defineCacheCommands } from './commands/cache.ts';
import { defineCompletionCommand } from './commands/completion.ts';
import { defineDebugCommands } from './commands/debug.ts';
import { defineMaintenanceCommands } from './commands/maintenance.ts';
import { definePolicyCommands } from './commands/policy.ts';
import { defineRecoveryKitCommand } from './commands/recovery-kit.ts';
import { defineRepositoryCommands } from './commands/repository.ts';
import { defineSnapshotCommands } from './commands/snapshot.ts';

const EXAMPLES = `
Examples:
  $ export WINDLASS_REPOSITORY=/backup/repo WINDLASS_PASSWORD=…
  $ windlass repository create
  $ windlass snapshot create /home
  $ windlass snapshot list
  $ windlass snapshot restore latest ./restored

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 finished but some files or attributes are missing,
10 no repository there, 12 wrong password, 130 interrupted. Error codes: docs/errors.md.`;

export function createProgram(version: string, run: (options: GlobalOptions, work: Work) => Promise<void>): Command {
  const program = new Command('windlass');
  program
    .description('Encrypted, deduplicated backups of directory trees, in repositories that Kopia reads and writes too.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command') // inherited by the groups; the program has its own
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      // One line: a suggestion comes on a line of its own.
      outputError: (text, write) => {
        const line = text
          .trimEnd()
          .replace(/^error: /, '')
          .replaceAll('\n', ' ');
        write(`windlass: ${line} [CLI_USAGE]\n`);
      },
    })
    .showSuggestionAfterError(true)
    .addOption(
      new Option('-r, --repository <url>', 'path of the repository, or its URL: file:, s3:, azblob: or gs:').env(
        'WINDLASS_REPOSITORY',
      ),
    )
    .option(
      '--backup-storage-location <file>',
      "Velero's BackupStorageLocation, YAML or JSON, that the repository is in; instead of -r",
    )
    .option('--volume-namespace <name>', 'namespace whose volumes are in it')
    .option('--credentials-file <file>', "content of the Secret with the location's credentials")
    .option('--ca-cert <file>', "content of the Secret with the location's CA certificate")
    .option('--password-file <file>', 'read the password from a file (else WINDLASS_PASSWORD, else a prompt)')
    .option('--cache-dir <dir>', 'root of the local caches (else WINDLASS_CACHE_DIR, else under the XDG cache home)')
    .option(
      '--cache-size-limit <size>',
      'bound of the local cache of one repository (default 5GiB, 0 for none)',
      parseSizeBytes,
    )
    .option('--memory-limit <size>', 'bound of the memory used, such as 256MiB', parseSizeBytes)
    .option(
      '--bwlimit <rate>',
      'bytes a second to and from the repository: 10MiB/s, UP:DOWN, or by time: 08:00-18:00=2MiB/s,else=off',
      parseBandwidthLimit,
    )
    .option(
      '--max-requests <n>',
      'requests of a kind (reads, writes, lists) under way to an object store',
      parsePositive,
    )
    .option('--json', 'print exactly one JSON document on standard output')
    .option('-q, --quiet', 'no progress and no remarks on standard error')
    .addOption(new Option('--log-level <level>', 'what to log on standard error').choices(LOG_LEVELS).default('warn'))
    .addHelpText('after', EXAMPLES);
  const runner: Runner = (command, work) => {
    const options = command.optsWithGlobals<GlobalOptions>();
    // One in the environment is for the usual case.
    if (options.backupStorageLocation !== undefined && program.getOptionValueSource('repository') === 'cli') {
      program.error('error: give -r or --backup-storage-location, not both');
    }
    return run(options, work);
  };
  defineRepositoryCommands(program, runner);
  defineSnapshotCommands(program, runner);
  defineBrowseCommands(program, runner);
  definePolicyCommands(program, runner);
  defineMaintenanceCommands(program, runner);
  defineCacheCommands(program, runner);
  defineRecoveryKitCommand(program, runner);
  defineDebugCommands(program, runner);
  defineCompletionCommand(program, runner);
  defineHelpCommand(program);
  return program;
}

/** `help snapshot create`: Commander's own `help` goes one level deep only. */
function defineHelpCommand(program: Command): void {
  program
    .command('help')
    .description('show help for a command')
    .argument('[command...]', 'words of the command')
    .action((path: readonly string[]) => {
      let command = program;
      for (const word of path) {
        const next = command.commands.find((sub) => sub.name() === word);
        if (next === undefined) return command.error(`error: unknown command '${path.join(' ')}'`);
        command = next;
      }
      return command.help();
    });
}
