// Composition root of the controller: one of it keeps the repositories of a cluster, in the place of the Velero server.
import { systemClock } from '../base/clock.ts';
import { errorCode, isAbortError } from '../base/errors.ts';
import { systemRandom } from '../base/random.ts';
import { connectKube } from '../kube/index.ts';
import { parseControllerFlags } from './config/flags.ts';
import { Controller } from './controller.ts';
import { createLogger } from './logger.ts';

async function main(): Promise<void> {
  // oxlint-disable-next-line node/no-process-env -- a composition root
  const environment = process.env;
  const flags = parseControllerFlags(process.argv.slice(2), environment);
  const logger = createLogger(flags.logLevel, { component: 'controller' });
  const stopped = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => stopped.abort(new DOMException(`stopped by ${name}`, 'AbortError')));
  }
  try {
    const client = await connectKube({
      kubeconfigPath: flags.kubeconfig,
      userAgent: 'windlass-controller',
      environment,
      clock: systemClock,
    });
    const deps = { client, clock: systemClock, random: systemRandom, logger, environment };
    await new Controller(flags, deps).run(stopped.signal);
    await client.close();
  } catch (error) {
    if (isAbortError(error)) return;
    logger.error(error instanceof Error ? error.message : String(error), { code: errorCode(error) });
    process.exitCode = 1;
  }
}

void main();
