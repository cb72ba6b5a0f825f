// `windlass repository …`: create, look at, change the password of a repository.
import { Option, type Command } from 'commander';
import { parseDurationNs, parsePercent } from '../option-values.ts';
import { withExamples, type Runner } from '../command-runner.ts';
import type { ChangePasswordOptions } from '../repository/change-password.ts';
import type { CreateOptions } from '../repository/create.ts';
import type { RepairCommandOptions } from '../repository/repair.ts';
import type { RepairPasswordOptions } from '../repository/repair-password.ts';

export function defineRepositoryCommands(program: Command, run: Runner): void {
  const group = program
    .command('repository')
    .description('create a repository, show its state, change or repair its password');
  withExamples(
    group
      .command('create')
      .description('create a repository in an empty or new folder, or in a bucket')
      .option('--hash <name>', 'hash of contents (default BLAKE3-256-128)')
      .option('--encryption <name>', 'encryption of contents (default AES256-GCM-HMAC-SHA256)')
      .option('--splitter <name>', 'how files are cut (default DYNAMIC-4M-BUZHASH)')
      .addOption(new Option('--format-version <n>', 'repository format (default 3)').choices(['1', '2', '3']))
      .option('--ecc <name>', 'error correction, such as REED-SOLOMON-CRC32 (default none)')
      .option('--ecc-overhead-percent <n>', 'space given to error correction', parsePercent)
      .addOption(
        new Option('--retention-mode <mode>', 'lock what is stored, in a bucket with object lock').choices([
          'governance',
          'compliance',
        ]),
      )
      .option('--retention-period <duration>', 'for how long, at least a day: 30d', parseDurationNs)
      .action(async (options: CreateOptions, command: Command) => {
        await run(command, async (context) =>
          (await import('../repository/create.ts')).createCommand(context, options),
        );
      }),
    ['windlass -r /backup/repo repository create', 'windlass -r /backup/repo repository create --hash BLAKE2B-256-128'],
  );
  withExamples(
    group
      .command('status')
      .description('show where the repository is, its format and what it holds')
      .action(async (_options: object, command: Command) => {
        await run(command, async (context) => (await import('../repository/status.ts')).statusCommand(context));
      }),
    ['windlass -r /backup/repo repository status', 'windlass repository status --json'],
  );
  withExamples(
    group
      .command('change-password')
      .description('change the password; the old one stops working for new connections')
      .option('--new-password-file <file>', 'read the new password from a file (else a prompt)')
      .action(async (options: ChangePasswordOptions, command: Command) => {
        const load = () => import('../repository/change-password.ts');
        await run(command, async (context) => (await load()).changePasswordCommand(context, options));
      }),
    ['windlass -r /backup/repo repository change-password --new-password-file /run/secrets/new'],
  );
  withExamples(
    group
      .command('repair-password')
      .description('finish a password change that was interrupted (PASSWORD_CHANGE_INCOMPLETE)')
      .option('--other-password-file <file>', 'read the other password of the change from a file (else a prompt)')
      .option('--drop-retention', 'the other password is not known: turn off retention that only it can read')
      .action(async (options: RepairPasswordOptions, command: Command) => {
        const load = () => import('../repository/repair-password.ts');
        await run(command, async (context) => (await load()).repairPasswordCommand(context, options));
      }),
    [
      'windlass -r /backup/repo --password-file /run/secrets/old repository repair-password --other-password-file /run/secrets/new',
    ],
  );
  withExamples(
    group
      .command('repair')
      .description('mend a damaged repository: shows what it would do; --apply does it')
      .option('--apply', 'write; without it nothing is changed')
      .option(
        '--format-blob <file>',
        'a copy of kopia.repository or a recovery kit, for when it is lost and packs have none',
      )
      .option('--heal-from <path>', 'store lost contents of files again from a tree that still has them')
      .option('--drop-lost', 'take contents off the index that stay lost, with the snapshots and policies among them')
      .action(async (options: RepairCommandOptions, command: Command) => {
        const load = () => import('../repository/repair.ts');
        await run(command, async (context) => (await load()).repairCommand(context, options));
      }),
    [
      'windlass -r /backup/repo repository repair',
      'windlass -r /backup/repo repository repair --apply',
      'windlass -r /backup/repo repository repair --heal-from /home --drop-lost --apply',
    ],
  );
}
