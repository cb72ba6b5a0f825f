// Reads a response's body into one buffer of its own, exactly as long as it must be.
import { errorCode, WindlassError } from '../../base/errors.ts';
import { storeFailure, type StoreFailureDetails } from './blob-errors.ts';

export interface BodyExpectation {
  /** What was asked for, or what the answer announces; undefined where it does not. */
  readonly expectedBytes: number | undefined;
  /** Longer ones are refused, whatever is announced. */
  readonly maxBytes?: number | undefined;
  readonly details: StoreFailureDetails;
}

type Body = AsyncIterable<Uint8Array> & { destroy(error?: Error): void };

/** No blob is longer: the largest pack has some 121 MiB, an index blob less than its contents allow. */
const MAX_BLOB_BYTES = 1 << 30;
// An announced length is only believed up to here before the bytes are there.
const TRUSTED_BYTES = 32 << 20;

/** `BLOB_TRUNCATED` for a body of another length, `BLOB_TIMEOUT` for one that stalls. The body is destroyed whatever happens. */
export async function readBody(
  stream: NodeJS.ReadableStream & { destroy(error?: Error): void },
  expectation: BodyExpectation,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { expectedBytes, maxBytes = MAX_BLOB_BYTES, details } = expectation;
  const body = stream as unknown as Body;
  const abort = (): void => body.destroy();
  signal.addEventListener('abort', abort);
  try {
    if ((expectedBytes ?? 0) > maxBytes) throw storeFailure('BLOB_STORE_REFUSED', { ...details, storeCode: 'TooLong' });
    const bytes = await collect(body, expectedBytes, maxBytes, details);
    signal.throwIfAborted();
    return bytes;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof WindlassError) throw error;
    // An abort that is not our signal's is a library's word for a connection that broke off.
    const isTimeout = error instanceof Error && (error.name === 'TimeoutError' || errorCode(error) === 'ETIMEDOUT');
    throw storeFailure(isTimeout ? 'BLOB_TIMEOUT' : 'BLOB_TRUNCATED', { ...details, storeCode: errorCode(error) });
  } finally {
    signal.removeEventListener('abort', abort);
    body.destroy();
  }
}

async function collect(
  body: Body,
  expectedBytes: number | undefined,
  maxBytes: number,
  details: StoreFailureDetails,
): Promise<Uint8Array> {
  let buffer = new Uint8Array(Math.min(expectedBytes ?? TRUSTED_BYTES, TRUSTED_BYTES));
  let length = 0;
  for await (const chunk of body) {
    const needed = length + chunk.length;
    if (needed > (expectedBytes ?? maxBytes))
      throw storeFailure('BLOB_TRUNCATED', { ...details, storeCode: 'TooLong' });
    if (needed > buffer.length) {
      const larger = new Uint8Array(Math.min(expectedBytes ?? maxBytes, Math.max(needed, buffer.length * 2)));
      larger.set(buffer.subarray(0, length));
      buffer = larger;
    }
    buffer.set(chunk, length);
    length = needed;
  }
  if (expectedBytes !== undefined && length !== expectedBytes) {
    throw storeFailure('BLOB_TRUNCATED', { ...details, storeCode: 'TooShort' });
  }
  return length === buffer.length ? buffer : buffer.slice(0, length);
}
