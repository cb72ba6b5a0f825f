// Failures of a BackupStorageLocation given to the command: a file that is none, a key that means nothing, a store that a repository cannot be in.
import { WindlassError, type ErrorContext } from '../../base/errors.ts';

export type LocationErrorCode =
  | 'LOCATION_FILE'
  | 'LOCATION_INVALID'
  | 'LOCATION_UNSUPPORTED'
  | 'LOCATION_CREDENTIALS'
  | 'LOCATION_REPOSITORY_MISMATCH'
  | 'STORE_SSE_C_UNSUPPORTED';

export function locationError(
  code: LocationErrorCode,
  message: string,
  context: ErrorContext = {},
  cause?: unknown,
): WindlassError {
  return new WindlassError(message, { code, context, ...(cause === undefined ? {} : { cause }) });
}
