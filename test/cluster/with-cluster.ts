// Runs a command with a cluster that it shares with everything it starts, and ends the cluster whatever became of the command.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { CLUSTER_VARIABLE, startForTests } from './shared-cluster.ts';

const [program = '', ...args] = process.argv.slice(2);
const cluster = await startForTests();
try {
  const env = { ...process.env, [CLUSTER_VARIABLE]: cluster.inside.folder };
  const child = spawn(program, args, { stdio: 'inherit', env });
  // Both get a terminal's Ctrl-C: the tests end first.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
} finally {
  await cluster.stop();
}
