// A data mover's own view of the repository: opened with the password of the job, or with the one before while it is being changed.
import { processOwners } from '../../base/process-owner.ts';
import { deriveFormatKey, type DeriveFormatKey } from '../../repo-format/index.ts';
import { locationStore, openVeleroRepository, type OpenedRepository } from '../../repo-format/velero/index.ts';
import type { RepositoryAccess } from '../datapath/job.ts';
import type { MoverContext } from './context.ts';

export function openRepository(
  access: RepositoryAccess,
  { readOnly, memoryLimitBytes }: { readonly readOnly: boolean; readonly memoryLimitBytes: number | undefined },
  context: MoverContext,
): Promise<OpenedRepository> {
  const { volumeNamespace, credentialsFile, caCertPem, password, previousPassword, cacheRoot, cacheBytes } = access;
  const located = locationStore(access.location, { volumeNamespace, credentialsFile, caCertPem });
  const deps = {
    ...context,
    processes: processOwners(),
    deriveKey: deriveOnce(access, context),
  };
  // It goes on: what this run needs and finds missing is stored again. But somebody must hear of it before maintenance runs.
  const onRollback = (what: string): void =>
    context.logger.error('the repository is older than when this node last used it: snapshots may be missing', {
      code: 'REPOSITORY_ROLLED_BACK',
      what,
    });
  const options = { password, previousPassword, readOnly, cacheRoot, cacheBytes, memoryLimitBytes, onRollback };
  return openVeleroRepository(located, options, deps, context.signal);
}

/** Takes the key that another mover has derived, or tells of the one derived here. */
function deriveOnce({ derivedKey }: RepositoryAccess, context: MoverContext): DeriveFormatKey {
  return async (algorithm, password, salt) => {
    const saltText = Buffer.from(salt).toString('base64');
    const isKnown =
      derivedKey?.algorithm === algorithm && derivedKey.salt === saltText && derivedKey.password === password;
    if (isKnown) return new Uint8Array(Buffer.from(derivedKey.key, 'base64'));
    const key = await deriveFormatKey(algorithm, password, salt);
    const keyText = Buffer.from(key).toString('base64');
    context.send({ type: 'derived', derivedKey: { algorithm, password, salt: saltText, key: keyText } });
    return key;
  };
}
