// Whom a policy is for, as named on the command line.
import { GLOBAL_POLICY_TARGET } from '../../repo-format/snapshot/effective-policy.ts';
import { parseSource, type SnapshotSource } from '../../repo-format/snapshot/source.ts';
import { usageError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';

export function policyTarget(context: CliContext, text: string | undefined, global: boolean): SnapshotSource {
  if (global && text !== undefined) throw usageError('give a target or --global, not both');
  if (global) return GLOBAL_POLICY_TARGET;
  if (text === undefined) throw usageError('no target: give a path, user@host:/path, user@host, @host, or --global');
  return parseSource(text, context.identity);
}
