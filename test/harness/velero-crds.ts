// Velero's own CustomResourceDefinitions, as its command prints them.
import { buildGoPrograms } from './go-program.ts';
import { describeResult, runCommand } from './run-command.ts';
import { join } from 'node:path';

/** The JSON of a List. `home`: a folder that the command may write its settings into. */
export async function printVeleroCrds(home: string): Promise<string> {
  const programs = buildGoPrograms('velero');
  if ('missing' in programs) throw new Error(programs.missing);
  const argv = [join(programs.path, 'velero'), 'install', '--crds-only', '--dry-run', '-o', 'json'];
  const printed = await runCommand(argv, { env: { HOME: home } });
  if (printed.code !== 0) throw new Error(describeResult(argv, printed));
  return printed.stdout;
}
