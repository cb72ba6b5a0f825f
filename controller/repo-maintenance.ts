// Composition root of a maintenance Job: maintains one repository, as far as something is due, and leaves what it came to as the
// container's termination message, in the words that Velero's server reads.
import { writeFileSync } from 'node:fs';
import { runProgram } from '../program/run-program.ts';
import { FAILURE_MARK } from './backup-repository/maintenance-job.ts';
import { parseMaintenanceFlags } from './config/flags.ts';
import { maintainRepository, summaryOf } from './maintenance/maintain.ts';

const TERMINATION_LOG = '/dev/termination-log';
const MAX_MESSAGE_LENGTH = 4000;
/** Of a container's memory limit; the rest is Node's own, and what the system keeps of files. */
const MEMORY_SHARE = 0.8;

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

void runProgram({
  userAgent: 'windlass-repo-maintenance',
  // Its Job must not count as done when it is stopped in the middle.
  kind: 'task',
  parse: parseMaintenanceFlags,
  fields: ({ volumeNamespace, location }) => ({
    component: 'repo-maintenance',
    repository: volumeNamespace,
    location,
  }),
  run: async (flags, deps, signal) => {
    const report = await maintainRepository({ ...flags, memoryLimitBytes: memoryLimitBytes() }, deps, signal);
    leave(summaryOf(report));
  },
  onFailure: (text, code) => leave(`${FAILURE_MARK}${text} [${code}]`),
});
