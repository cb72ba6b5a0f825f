// Failures of the command line itself: wrong use, no password, a snapshot name that names nothing or too much.
import { WindlassError, type ErrorContext } from '../base/errors.ts';

export type CliErrorCode =
  | 'CLI_USAGE'
  | 'CLI_REPOSITORY_MISSING'
  | 'CLI_REPOSITORY_UNSUPPORTED'
  | 'CLI_PASSWORD_MISSING'
  | 'CLI_PASSWORD_FILE'
  | 'CLI_CACHE_DIRECTORY'
  | 'CLI_CERTIFICATE_FILE'
  | 'CLI_NOT_A_FILE'
  | 'MAINTENANCE_BY_VELERO'
  | 'SNAPSHOT_NOT_FOUND'
  | 'SNAPSHOT_AMBIGUOUS';

export function cliError(
  code: CliErrorCode,
  message: string,
  context: ErrorContext = {},
  cause?: unknown,
): WindlassError {
  return new WindlassError(message, { code, context, ...(cause === undefined ? {} : { cause }) });
}

export function usageError(message: string, context: ErrorContext = {}): WindlassError {
  return cliError('CLI_USAGE', message, context);
}
