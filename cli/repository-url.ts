// Turns what names a repository, a path or `file:///…`, into a local path. Object stores are not reachable from this version.
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cliError } from './cli-errors.ts';

export function repositoryPath(text: string | undefined, workingDirectory: string): string {
  if (text === undefined || text === '') {
    throw cliError('CLI_REPOSITORY_MISSING', 'no repository: give -r PATH or set WINDLASS_REPOSITORY');
  }
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return resolve(workingDirectory, text);
  if (scheme !== 'file') {
    throw cliError(
      'CLI_REPOSITORY_UNSUPPORTED',
      `repository ${text}: ${scheme} is not supported, only a path or file:///path`,
      { scheme },
    );
  }
  try {
    return fileURLToPath(text);
  } catch (error) {
    throw cliError('CLI_REPOSITORY_UNSUPPORTED', `repository ${text} is not a file:///path`, { scheme }, error);
  }
}
