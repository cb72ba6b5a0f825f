// `windlass cache status|clear`: the local caches, which can always be deleted.
import type { Command } from 'commander';
import { CACHE_KINDS } from '../cache/directories.ts';
import type { ClearOptions } from '../cache/clear.ts';
import { withExamples, type Runner } from '../command-runner.ts';
import { parseList } from '../option-values.ts';

export function defineCacheCommands(program: Command, run: Runner): void {
  const group = program.command('cache').description('show and clear the local caches');
  withExamples(
    group
      .command('status')
      .description('show the caches of all repositories used here, and their sizes')
      .action(async (_options: object, command: Command) => {
        await run(command, async (context) => (await import('../cache/status.ts')).statusCommand(context));
      }),
    ['windlass cache status', 'windlass --cache-dir /var/cache/windlass cache status --json'],
  );
  withExamples(
    group
      .command('clear')
      .description('delete the cache of the repository given by -r, or with --all every cache')
      .option('--all', 'the caches of all repositories')
      .option('--kind <kinds>', `only these: ${CACHE_KINDS.join(', ')}`, parseList(CACHE_KINDS))
      .action(async (options: ClearOptions, command: Command) => {
        await run(command, async (context) => (await import('../cache/clear.ts')).clearCommand(context, options));
      }),
    ['windlass -r /backup/repo cache clear --kind metadata,indexes', 'windlass cache clear --all'],
  );
}
