// `cat`: the bytes of one file of a snapshot, on standard output.
import { resolvePath } from '../../mover/browse/resolve-path.ts';
import { cliError, usageError } from '../cli-errors.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { withRepository } from '../session.ts';
import { findSnapshotPath } from '../snapshot-reference.ts';

// Memory of one piece; a content is at most a few times as large.
const PIECE_BYTES = 4 << 20;

export async function catCommand(
  context: CliContext,
  text: string,
  options: { readonly source?: string },
): Promise<ExitCode> {
  if (context.output.json) throw usageError('cat prints the bytes of a file: it has no --json');
  const { signal } = context;
  return withRepository(context, { readOnly: true }, async (repository) => {
    const { manifest, subPath } = await findSnapshotPath(context, repository, text, options.source);
    const { entry, path } = await resolvePath(repository, manifest, subPath, signal);
    if (entry.type !== 'f')
      throw cliError('CLI_NOT_A_FILE', `${path === '' ? '/' : path} in snapshot ${manifest.id} is not a file`, {
        path,
      });
    if (entry.objectId === '') return EXIT.ok;
    const reader = await repository.openObject(entry.objectId, signal);
    for (let offset = 0; offset < reader.length; offset += PIECE_BYTES) {
      await context.output.bytes(await reader.read(offset, Math.min(PIECE_BYTES, reader.length - offset), signal));
    }
    return EXIT.ok;
  });
}
