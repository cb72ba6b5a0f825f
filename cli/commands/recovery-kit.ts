// `windlass recovery-kit OUT.html`: a page that opens the repository where no windlass is.
import type { Command } from 'commander';
import { withExamples, type Runner } from '../command-runner.ts';
import type { RecoveryKitOptions } from '../recovery-kit/write-kit.ts';

export function defineRecoveryKitCommand(program: Command, run: Runner): void {
  withExamples(
    program
      .command('recovery-kit')
      .description(
        'write an HTML page that opens this repository in a browser, with a copy of its format blob; needs no password',
      )
      .argument('<out.html>', 'file to write')
      .option('--force', 'replace the file')
      .action(async (out: string, options: RecoveryKitOptions, command: Command) => {
        await run(command, async (context) =>
          (await import('../recovery-kit/write-kit.ts')).recoveryKitCommand(context, out, options),
        );
      }),
    ['windlass -r /backup/repo recovery-kit kit.html'],
  );
}
