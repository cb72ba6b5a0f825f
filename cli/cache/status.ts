// `cache status`.
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { countOf, formatSize, table } from '../terminal/format.ts';
import { CACHE_KINDS, listCacheFolders, requireCacheRoot } from './directories.ts';

export async function statusCommand(context: CliContext): Promise<ExitCode> {
  const root = requireCacheRoot(context);
  const repositories = await listCacheFolders(root);
  context.output.document({ path: root, repositories });
  context.output.line(`Caches below ${root}`);
  const rows = repositories.flatMap(({ uniqueIDHex, files, totalSize, kinds }) => [
    [`  ${uniqueIDHex}`, formatSize(totalSize), countOf(files, 'file')],
    ...CACHE_KINDS.filter((kind) => kinds[kind].files > 0).map((kind) => [
      `    ${kind}`,
      formatSize(kinds[kind].totalSize),
      countOf(kinds[kind].files, 'file'),
    ]),
  ]);
  for (const line of table(rows.length === 0 ? [['  (none)']] : rows, [1])) context.output.line(line);
  return EXIT.ok;
}
