// helm on the chart of this checkout.
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildGoProgram } from './go-program.ts';
import { describeResult, runCommand, type CommandResult } from './run-command.ts';

export const CHART = fileURLToPath(new URL('../../charts/windlass', import.meta.url));

/** Whatever its exit code. Without a kubeconfig it speaks to no cluster. */
export async function runHelm(args: readonly string[], kubeconfig?: string): Promise<CommandResult> {
  const helm = buildGoProgram('helm');
  if ('missing' in helm) throw new Error(helm.missing);
  // Else it looks for plugins and repositories of whoever runs this.
  const home = join(tmpdir(), 'windlass-helm-home');
  mkdirSync(home, { recursive: true });
  const env = { HOME: home, ...(kubeconfig === undefined ? {} : { KUBECONFIG: kubeconfig }) };
  return runCommand([helm.path, ...args], { env });
}

/** What it printed; throws when it failed. */
export async function helm(args: readonly string[], kubeconfig?: string): Promise<string> {
  const result = await runHelm(args, kubeconfig);
  if (result.code !== 0) throw new Error(describeResult(['helm', ...args], result));
  return result.stdout;
}
