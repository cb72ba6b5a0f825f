// Composition root of a maintenance Job: maintains one repository, as far as something is due, and leaves what it came to as the
// container's termination message, in the words that Velero's server reads.
import { writeFileSync } from 'node:fs';
import { systemClock } from '../base/clock.ts';
import { serializeError } from '../base/errors.ts';
import { systemRandom } from '../base/random.ts';
import { connectKube } from '../kube/index.ts';
import { FAILURE_MARK } from './backup-repository/maintenance-job.ts';
import { parseMaintenanceFlags } from './config/flags.ts';
import { createLogger } from './logger.ts';
import { maintainRepository, summaryOf } from './maintenance/maintain.ts';

const TERMINATION_LOG = '/dev/termination-log';
const MAX_MESSAGE_LENGTH = 4000;
/** Of a container's memory limit; the rest is Node's own, and what the system keeps of files. */
const MEMORY_SHARE = 0.8;

async function main(): Promise<void> {
  // oxlint-disable-next-line node/no-process-env -- a composition root
  const environment = process.env;
  const flags = parseMaintenanceFlags(process.argv.slice(2), environment);
  const { volumeNamespace: repository, location } = flags;
  const logger = createLogger(flags.logLevel, { component: 'repo-maintenance', repository, location });
  const stopped = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => stopped.abort(new DOMException(`stopped by ${name}`, 'AbortError')));
  }
  try {
    const client = await connectKube({
      kubeconfigPath: flags.kubeconfig,
      userAgent: 'windlass-repo-maintenance',
      environment,
      clock: systemClock,
    });
    const deps = { client, clock: systemClock, random: systemRandom, logger, environment };
    const report = await maintainRepository({ ...flags, memoryLimitBytes: memoryLimitBytes() }, deps, stopped.signal);
    await client.close();
    leave(summaryOf(report));
  } catch (error) {
    const { message, code, cause } = serializeError(error);
    const because = cause === undefined || cause.message === message ? '' : `: ${cause.message}`;
    logger.error(message, { code, cause: cause?.message });
    leave(`${FAILURE_MARK}${message}${because} [${code}]`);
    process.exitCode = 1;
  }
}

/** Undefined where nothing limits the container. */
function memoryLimitBytes(): number | undefined {
  const bytes = process.constrainedMemory();
  return bytes > 0 && bytes < 2 ** 50 ? Math.floor(bytes * MEMORY_SHARE) : undefined;
}

function leave(text: string): void {
  try {
    writeFileSync(TERMINATION_LOG, text.slice(0, MAX_MESSAGE_LENGTH));
  } catch {
    // Outside of a pod: the log has it.
  }
}

void main();
