// The lines of a watch, one event each.
import type { Readable } from 'node:stream';
import { isAbortError } from '../../base/errors.ts';
import type { KubeObject } from '../api/object.ts';
import type { WatchEvent } from './kube-client.ts';
import { KubeError, refused, unreachable } from './kube-error.ts';

/** Larger than anything etcd keeps, with what JSON adds to it. */
const MAX_LINE_CHARACTERS = 16 << 20;
/** Of the bookmark after the objects that there were when a watch began (KEP-3157). */
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

interface RawEvent {
  readonly type: string;
  readonly object: KubeObject & { readonly code?: number };
}

/** Ends with the stream; throws what the server reports in it (`KUBE_GONE`) and what breaks it (`KUBE_UNAVAILABLE`). */
export async function* watchEvents<T extends KubeObject>(
  body: Readable,
  what: string,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent<T>, void> {
  const onAbort = (): void => void body.destroy();
  signal.addEventListener('abort', onAbort, { once: true });
  let rest = '';
  try {
    body.setEncoding('utf8');
    for await (const chunk of body as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > MAX_LINE_CHARACTERS) throw new KubeError('KUBE_INVALID', `${what}: a line without an end`);
      for (const line of lines) if (line.trim() !== '') yield parseEvent<T>(line, what);
    }
  } catch (cause) {
    if (signal.aborted || isAbortError(cause)) throw signal.reason;
    throw cause instanceof KubeError ? cause : unreachable(what, cause);
  } finally {
    signal.removeEventListener('abort', onAbort);
    body.destroy();
  }
  signal.throwIfAborted();
}

function parseEvent<T extends KubeObject>(line: string, what: string): WatchEvent<T> {
  const { type, object } = JSON.parse(line) as RawEvent;
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      if (typeof object.metadata.name !== 'string') throw new TypeError('an event of no object');
      return { type, object: object as T & RawEvent['object'] };
    case 'BOOKMARK': {
      const { resourceVersion, annotations } = object.metadata;
      return { type, resourceVersion, isAll: annotations?.[INITIAL_EVENTS_END] === 'true' };
    }
    default:
      throw refused(what, { status: object.code ?? 500, body: JSON.stringify(object) });
  }
}
