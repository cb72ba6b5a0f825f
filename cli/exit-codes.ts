// Exit codes, as restic's users know them, and which error code leads to which.
import { errorCode, isAbortError } from '../base/errors.ts';

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  /** Finished, but some files could not be read or some attribute did not take. */
  incomplete: 3,
  noRepository: 10,
  wrongPassword: 12,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

const BY_CODE: Readonly<Record<string, ExitCode>> = {
  REPOSITORY_NOT_FOUND: EXIT.noRepository,
  PASSWORD_WRONG: EXIT.wrongPassword,
  SOURCE_INVALID: EXIT.usage,
  CLI_USAGE: EXIT.usage,
  CLI_PASSWORD_MISSING: EXIT.usage,
  CLI_REPOSITORY_MISSING: EXIT.usage,
  CLI_REPOSITORY_UNSUPPORTED: EXIT.usage,
};

export function exitCodeOf(error: unknown): ExitCode {
  if (isAbortError(error)) return EXIT.interrupted;
  return BY_CODE[errorCode(error) ?? ''] ?? EXIT.failed;
}
