// `snapshot diff`: what changed between two snapshots, or between directories in them.
import { diffTrees, type Difference } from '../../mover/browse/diff-trees.ts';
import { resolvePath } from '../../mover/browse/resolve-path.ts';
import type { CliContext } from '../context.ts';
import { oneLine } from '../error-line.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { entryJson } from '../json-shapes.ts';
import { withRepository } from '../session.ts';
import { findSnapshotPath } from '../snapshot-reference.ts';

const SIGN = { added: '+', removed: '-', changed: 'M' } as const;

export async function diffCommand(
  context: CliContext,
  a: string,
  b: string,
  options: { readonly source?: string },
): Promise<ExitCode> {
  return withRepository(context, { readOnly: true }, async (repository) => {
    const locate = async (text: string) => {
      const { manifest, subPath } = await findSnapshotPath(context, repository, text, options.source);
      return resolvePath(repository, manifest, subPath, context.signal);
    };
    const [before, after] = [await locate(a), await locate(b)];
    const counts = { added: 0, removed: 0, changed: 0 };
    const counted = async function* (): AsyncGenerator<Difference> {
      for await (const difference of diffTrees(repository, before, after, context.signal)) {
        counts[difference.change]++;
        yield difference;
      }
    };
    await context.output.list(counted(), differenceLine, differenceJson);
    context.note(`${counts.added} added, ${counts.removed} removed, ${counts.changed} changed`);
    return EXIT.ok;
  });
}

function differenceLine({ path, change, fields, before, after }: Difference): string {
  const slash = (after ?? before)?.type === 'd' ? '/' : '';
  const details = fields.length === 0 ? '' : `  (${fields.join(', ')})`;
  return `${SIGN[change]} /${oneLine(path)}${path === '' ? '' : slash}${details}`;
}

function differenceJson({ path, change, fields, before, after }: Difference): string {
  const members = [`"path":${JSON.stringify(path)}`, `"change":"${change}"`, `"fields":${JSON.stringify(fields)}`];
  if (before !== undefined) members.push(`"before":${entryJson(path, before)}`);
  if (after !== undefined) members.push(`"after":${entryJson(path, after)}`);
  return `{${members.join(',')}}`;
}
