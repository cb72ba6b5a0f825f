// `cache status`.
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { countOf, formatSize, table } from '../terminal/format.ts';
import { listCacheFolders, requireCacheRoot } from './directories.ts';

export async function statusCommand(context: CliContext): Promise<ExitCode> {
  const root = requireCacheRoot(context);
  const repositories = await listCacheFolders(root);
  context.output.document({ path: root, repositories });
  context.output.line(`Caches below ${root}`);
  const rows = repositories.map(({ uniqueIDHex, files, totalSize }) => [
    `  ${uniqueIDHex}`,
    formatSize(totalSize),
    countOf(files, 'file'),
  ]);
  for (const line of table(rows.length === 0 ? [['  (none)']] : rows, [1])) context.output.line(line);
  return EXIT.ok;
}
