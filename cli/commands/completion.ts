// `windlass completion bash|zsh|fish`: prints a completion script made from the command tree itself.
import { Argument, type Command } from 'commander';
import { EXIT } from '../exit-codes.ts';
import { withExamples, type Runner } from '../command-runner.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

export function defineCompletionCommand(program: Command, run: Runner): void {
  withExamples(
    program
      .command('completion')
      .description('print a completion script for a shell')
      .addArgument(new Argument('<shell>').choices(SHELLS))
      .action(async (shell: (typeof SHELLS)[number], _options: object, command: Command) => {
        const { completionScript } = await import('../completion/script.ts');
        await run(command, async (context) => {
          await context.output.bytes(Buffer.from(completionScript(program, shell)));
          return EXIT.ok;
        });
      }),
    [
      'windlass completion bash > /etc/bash_completion.d/windlass',
      'source <(windlass completion zsh)',
      'windlass completion fish | source',
    ],
  );
}
