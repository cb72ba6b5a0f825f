// Before a backup relies on what is stored: are the packs there that the index names? (docs/design/0005, Lost packs)
import type { Logger } from '../../base/logger.ts';
import type { Repository } from '../../repo-format/index.ts';

/**
 * Makes contents of packs that are gone count as not stored, so that the backup stores them again; true when earlier
 * snapshots may need something that is lost. Warns of what was not known yet. `isSkipped` looks at nothing.
 */
export async function forgetLostPacks(
  repository: Repository,
  { isSkipped, logger }: { readonly isSkipped: boolean; readonly logger: Logger },
  signal: AbortSignal,
): Promise<boolean> {
  if (isSkipped) return false;
  const { packs, contents, manifests, wereDropped } = await repository.contents.hideLostContents(signal);
  if (packs === 0) return wereDropped;
  logger.warn('packs are missing from the repository; what the source still has of them is stored again', {
    packs,
    contents,
    ...(manifests === 0 ? {} : { lostManifests: manifests }),
  });
  return contents > 0 || wereDropped;
}
