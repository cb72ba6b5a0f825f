// Standard output of a command: lines for people, or, with `--json`, exactly one JSON document. Nothing else writes there.
import { once } from 'node:events';

export interface ByteSink {
  write(chunk: string | Uint8Array): boolean;
  once(event: 'drain', listener: () => void): unknown;
}

export interface Output {
  readonly json: boolean;
  /** One line for people; nothing with `--json`. */
  line(text?: string): void;
  /** The document of `--json`; nothing otherwise. */
  document(value: unknown): void;
  /** Raw bytes, for commands whose output is data. Waits while the reader is slower. */
  bytes(chunk: Uint8Array): Promise<void>;
  /** A list too long to hold: each item is one line for people and one array element with `--json`. */
  list<T>(
    items: AsyncIterable<T> | Iterable<T>,
    asLine: (item: T) => string,
    asJsonText: (item: T) => string,
  ): Promise<void>;
  /** As `document`, for a text that is JSON already. */
  documentText(text: string): void;
  /** Whether a document went out, so that a failure does not add a second one. */
  readonly wroteDocument: boolean;
}

/** `storage` is asked last of all; what it gives becomes a member of the document, where that is an object. */
export function createOutput(
  sink: ByteSink & NodeJS.WritableStream,
  json: boolean,
  storage: () => unknown = () => undefined,
): Output {
  let wroteDocument = false;
  const put = async (chunk: string | Uint8Array): Promise<void> => {
    if (!sink.write(chunk)) await once(sink, 'drain');
  };
  return {
    json,
    get wroteDocument() {
      return wroteDocument;
    },
    line(text = '') {
      if (!json) sink.write(`${text}\n`);
    },
    document(value) {
      if (!json) return;
      this.documentText(jsonText(value));
    },
    documentText(text) {
      if (!json) return;
      wroteDocument = true;
      sink.write(`${withStorage(text, storage())}\n`);
    },
    bytes: put,
    async list(items, asLine, asJsonText) {
      // Joined up to some size: a write for each of a million lines costs more than the lines.
      let pending = '';
      let first = true;
      if (json) {
        wroteDocument = true;
        pending = '[';
      }
      for await (const item of items) {
        if (json) {
          pending += `${first ? '\n' : ',\n'} ${asJsonText(item)}`;
          first = false;
        } else pending += `${asLine(item)}\n`;
        if (pending.length > 1 << 16) {
          await put(pending);
          pending = '';
        }
      }
      if (json) pending += first ? ']\n' : '\n]\n';
      await put(pending);
    },
  };
}

function withStorage(text: string, storage: unknown): string {
  if (storage === undefined || !text.startsWith('{')) return text;
  const start = text.slice(0, -1);
  // The description of a repository has one of its own, which says where it is.
  const name = text.includes('"storage":{"type":') ? 'storageRequests' : 'storage';
  return `${start}${start === '{' ? '' : ','}"${name}":${jsonText(storage)}}`;
}

/** JSON with 64-bit integers written as plain numbers. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'bigint' ? JSON.rawJSON(item.toString()) : item,
  );
}

declare global {
  interface JSON {
    /** In V8 since 11.4; not yet in the library types. */
    rawJSON(text: string): unknown;
  }
}
