// Stands for an agent that is killed: starts a data mover for the job on its standard input, tells its process id and what it says, and
// answers none of its questions.
import { createInterface } from 'node:readline';
import { startMover } from '../../agent/datapath/mover-process.ts';
import type { Job } from '../../agent/datapath/job.ts';
import { silentLogger } from '../../base/logger.ts';

createInterface({ input: process.stdin }).once('line', (line) => {
  const job = JSON.parse(line) as Job; // the test's own
  const tell = (value: unknown): boolean => process.stdout.write(`${JSON.stringify(value)}\n`);
  const { pid, result } = startMover(job, {
    onMessage: ({ type }) => tell({ type }),
    environment: { PATH: process.env['PATH'] },
    compileCache: process.env['NODE_COMPILE_CACHE'],
    logger: silentLogger,
  });
  tell({ pid });
  void result.catch(() => undefined);
});
