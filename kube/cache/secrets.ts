// Values of Secrets in Velero's namespace, read again when they may have changed, and files of them for libraries that want files.
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { hasCode, WindlassError } from '../../base/errors.ts';
import type { Secret } from '../api/core.ts';
import { KINDS } from '../api/kinds.ts';
import type { KubeClient } from '../client/kube-client.ts';

export interface SecretsDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly namespace: string;
  /** Of this process alone. */
  readonly folder: string;
}

const FRESH_MS = 30_000;
const MAX_VALUE_BYTES = 1 << 20;

export class Secrets {
  readonly #deps: SecretsDeps;
  /** Written so far: two that want the same one at a time write two. */
  #written = 0;
  readonly #known = new Map<string, { readonly atMs: number; readonly secret: Promise<Secret | undefined> }>();

  readonly #files = new Map<string, { readonly name: string; readonly key: string }>();

  constructor(deps: SecretsDeps) {
    this.#deps = deps;
  }

  /** Undefined when there is no such Secret or key. */
  async value(name: string, key: string, signal: AbortSignal): Promise<Buffer | undefined> {
    const { data = {} } = (await this.#get(name, signal)) ?? {};
    const encoded = data[key];
    if (encoded === undefined) return undefined;
    const value = Buffer.from(encoded, 'base64');
    if (value.length > MAX_VALUE_BYTES) throw unusable(name, key, 'is longer than 1 MiB');
    return value;
  }

  /** Whether there is such a Secret, whatever is in it. */
  async has(name: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#get(name, signal)) !== undefined;
  }

  /** The path of a file that has the value; `SECRET_UNUSABLE` when there is none. Written anew when the value changes. */
  async file(name: string, key: string, signal: AbortSignal): Promise<string> {
    const value = await this.value(name, key, signal);
    if (value === undefined) throw unusable(name, key, 'is missing');
    // A folder each: names and keys both have hyphens in them.
    const path = join(this.#deps.folder, this.#deps.namespace, name, key);
    this.#files.set(path, { name, key });
    const before = await readFile(path).catch((error: unknown) => {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    });
    if (before?.equals(value) === true) return path;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    // Whoever reads it meanwhile reads the old one or the new one.
    const unfinished = `${path}.${process.pid}.${this.#written++}`;
    await writeFile(unfinished, value, { mode: 0o600 });
    await chmod(unfinished, 0o600);
    await rename(unfinished, path);
    return path;
  }

  /** Who reads the files meanwhile follows: keys may be replaced in the middle of a long transfer. A value that is gone stays as it was. */
  async refreshFiles(signal: AbortSignal): Promise<void> {
    this.forget();
    for (const { name, key } of this.#files.values()) {
      if ((await this.value(name, key, signal)) !== undefined) await this.file(name, key, signal);
    }
  }

  /** After a failure that new values might mend. */
  forget(): void {
    this.#known.clear();
  }

  async #get(name: string, signal: AbortSignal): Promise<Secret | undefined> {
    const nowMs = this.#deps.clock.monotonicMs();
    const known = this.#known.get(name);
    if (known !== undefined && nowMs - known.atMs < FRESH_MS) return await orAborted(known.secret, signal);
    // Of all who wait for it: whoever gives up takes nobody else with it.
    const secret = this.#deps.client
      .get(KINDS.secret, { name, namespace: this.#deps.namespace })
      .catch((error: unknown) => {
        this.#known.delete(name);
        if (hasCode(error, 'KUBE_NOT_FOUND')) return undefined;
        throw error;
      });
    this.#known.set(name, { atMs: nowMs, secret });
    return await orAborted(secret, signal);
  }
}

async function orAborted<T>(result: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([result, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function unusable(name: string, key: string, reason: string): WindlassError {
  return new WindlassError(`key ${key} of Secret ${name} ${reason}`, {
    code: 'SECRET_UNUSABLE',
    context: { secret: name, key },
  });
}
