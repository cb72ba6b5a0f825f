// The error of every decoder of this folder: bytes that are no stream of their codec, or one that decodes to something
// else than was promised.
import { WindlassError } from '../../base/errors.ts';

export const COMPRESSION_CORRUPT = 'COMPRESSION_CORRUPT';

export function compressionCorrupt(codec: string, reason: string, cause?: unknown): WindlassError {
  return new WindlassError(`${codec} stream is damaged: ${reason}`, {
    code: COMPRESSION_CORRUPT,
    context: { codec },
    ...(cause === undefined ? {} : { cause }),
  });
}
