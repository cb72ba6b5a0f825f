// Composition root of the node agent: what runs on every node in the place of Velero's.
import { runProgram } from '../program/run-program.ts';
import { Agent } from './agent.ts';
import { parseFlags } from './config/flags.ts';

void runProgram({
  userAgent: 'windlass-agent',
  kind: 'service',
  parse: parseFlags,
  fields: ({ nodeName }) => ({ component: 'node-agent', node: nodeName }),
  run: (flags, deps, signal) => new Agent(flags, deps).run(signal),
});
