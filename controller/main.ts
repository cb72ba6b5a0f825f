// Composition root of the controller: one of it keeps the repositories of a cluster, in the place of the Velero server.
import { runProgram } from '../program/run-program.ts';
import { parseControllerFlags } from './config/flags.ts';
import { Controller } from './controller.ts';

void runProgram({
  userAgent: 'windlass-controller',
  kind: 'service',
  parse: parseControllerFlags,
  fields: () => ({ component: 'controller' }),
  run: (flags, deps, signal) => new Controller(flags, deps).run(signal),
});
