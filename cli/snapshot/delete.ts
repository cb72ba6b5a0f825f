// `snapshot delete`: all names are looked up before the first snapshot goes.
import { deleteSnapshot } from '../../repo-format/snapshot/snapshots.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { usageError } from '../cli-errors.ts';
import { withRepository } from '../session.ts';
import { findSnapshot, LATEST } from '../snapshot-reference.ts';

export async function deleteCommand(context: CliContext, names: readonly string[]): Promise<ExitCode> {
  if (names.includes(LATEST)) throw usageError('delete takes snapshot IDs only, not latest');
  return withRepository(context, { readOnly: false }, async (repository) => {
    const ids = new Set<Awaited<ReturnType<typeof findSnapshot>>['id']>();
    for (const name of names) ids.add((await findSnapshot(context, repository, name)).id);
    for (const id of ids) await deleteSnapshot(repository.manifests, id, context.signal);
    await repository.flush(context.signal);
    context.output.document({ deleted: [...ids] });
    for (const id of ids) context.output.line(`deleted snapshot ${id}`);
    return EXIT.ok;
  });
}
