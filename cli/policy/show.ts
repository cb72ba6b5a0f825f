// `policy show`: the rules in effect for a target, and where they come from.
import { loadEffectivePolicy, loadPolicy } from '../../repo-format/snapshot/effective-policy.ts';
import { encodePolicy, parsePolicy, type Policy } from '../../repo-format/snapshot/policy.ts';
import { formatSource } from '../../repo-format/snapshot/source.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { withRepository } from '../session.ts';
import { jsonText } from '../terminal/output.ts';
import { table } from '../terminal/format.ts';
import { policyTarget } from './target.ts';

export interface ShowOptions {
  readonly global?: boolean;
  readonly defined?: boolean;
}

export async function showCommand(
  context: CliContext,
  text: string | undefined,
  options: ShowOptions,
): Promise<ExitCode> {
  const target = policyTarget(context, text, options.global === true);
  return withRepository(context, { readOnly: true }, async (repository) => {
    const { manifests } = repository;
    if (options.defined === true) {
      const stored = await loadPolicy(manifests, target, context.signal);
      printPolicy(context, stored?.policy ?? {});
      return EXIT.ok;
    }
    const effective = await loadEffectivePolicy(manifests, target, context.signal);
    context.output.line(`Rules for ${formatSource(target)}`);
    const from = effective.sources.map((source) => formatSource(source.target));
    context.output.line(`from ${[...from, 'built-in defaults'].join(', then ')}`);
    printPolicy(context, effective.policy);
    return EXIT.ok;
  });
}

export function printPolicy(context: CliContext, policy: Policy): void {
  const text = encodePolicy(policy);
  context.output.documentText(text);
  const rows = [...members('', parsePolicy(text))];
  for (const line of table(rows.length === 0 ? [['  (no rules set here)']] : rows)) context.output.line(line);
}

/** `retention.keepDaily`, `7` and so on. */
function* members(prefix: string, value: object): Generator<string[]> {
  for (const [name, member] of Object.entries(value) as [string, unknown][]) {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    if (typeof member === 'object' && member !== null && !Array.isArray(member)) yield* members(path, member);
    else yield [`  ${path}`, jsonText(member)];
  }
}
