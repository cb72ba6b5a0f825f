// `snapshot pin` and `unpin`. A changed snapshot is saved anew, so it gets a new ID.
import { changePins } from '../../repo-format/snapshot/snapshot-manifest.ts';
import { loadSnapshot, updateSnapshot } from '../../repo-format/snapshot/snapshots.ts';
import type { CliContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { snapshotJson } from '../json-shapes.ts';
import { withRepository } from '../session.ts';
import { findSnapshot } from '../snapshot-reference.ts';

export interface PinRequest {
  readonly id: string;
  readonly name: string;
  readonly add: boolean;
  readonly source: string | undefined;
}

export async function pinCommand(context: CliContext, { id, name, add, source }: PinRequest): Promise<ExitCode> {
  const { output, signal } = context;
  return withRepository(context, { readOnly: false }, async (repository) => {
    const manifest = await findSnapshot(context, repository, id, source);
    const pins = changePins(manifest.pins, add ? [name] : [], add ? [] : [name]);
    const unchanged = pins.length === manifest.pins.length && pins.every((pin, i) => pin === manifest.pins[i]);
    if (unchanged) {
      output.documentText(snapshotJson(manifest));
      output.line(`snapshot ${manifest.id} is unchanged: ${add ? 'it has' : 'it does not have'} the pin ${name}`);
      return EXIT.ok;
    }
    const newId = await updateSnapshot(repository.manifests, manifest.id, { pins }, signal);
    await repository.flush(signal);
    output.documentText(snapshotJson(await loadSnapshot(repository.manifests, newId, signal)));
    output.line(`${add ? 'pinned' : 'unpinned'} snapshot ${manifest.id}; its ID is now ${newId}`);
    return EXIT.ok;
  });
}
