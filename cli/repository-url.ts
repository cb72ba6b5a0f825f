// What names a repository: a path, `file:///…`, or the URL of a place in an object store, `s3://bucket/prefix?region=…`.
// Parameters are the provider's own; secrets are never among them.
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WindlassError } from '../base/errors.ts';
import { cliError } from './cli-errors.ts';

export interface FolderAddress {
  readonly kind: 'folder';
  readonly path: string;
}

/** A place in an object store, as its URL tells it. */
export interface StoreAddress {
  readonly kind: 'store';
  readonly scheme: StoreScheme;
  readonly bucket: string;
  /** Before the name of every blob. */
  readonly prefix: string;
  readonly parameters: ReadonlyMap<string, string>;
}

export type StoreScheme = 's3' | 'azblob' | 'gs';

const STORE_SCHEMES: readonly string[] = ['s3', 'azblob', 'gs'] satisfies readonly StoreScheme[];

export function repositoryAddress(text: string | undefined, workingDirectory: string): FolderAddress | StoreAddress {
  if (text === undefined || text === '') {
    throw cliError('CLI_REPOSITORY_MISSING', 'no repository: give -r PATH or set WINDLASS_REPOSITORY');
  }
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return { kind: 'folder', path: resolve(workingDirectory, text) };
  if (isStoreScheme(scheme)) return storeAddress(scheme, text);
  if (scheme !== 'file') throw unsupported(`${scheme}: is none of a path, file:, s3:, azblob: and gs:`, scheme);
  try {
    return { kind: 'folder', path: fileURLToPath(text) };
  } catch (error) {
    throw cliError('CLI_REPOSITORY_UNSUPPORTED', `repository ${text} is not a file:///path`, { scheme }, error);
  }
}

function isStoreScheme(scheme: string): scheme is StoreScheme {
  return STORE_SCHEMES.includes(scheme);
}

// Nothing of the text is repeated where a secret may be in it.
function storeAddress(scheme: StoreScheme, text: string): StoreAddress {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw unsupported(`not a URL ${scheme}://bucket/prefix?parameter=value`, scheme);
  }
  if (url.username !== '' || url.password !== '') {
    throw unsupported(`keys do not belong into a URL, which others can see: docs/storage.md says where`, scheme);
  }
  const bucket = url.hostname;
  if (bucket === '' || url.port !== '') throw unsupported(`no bucket or container after ${scheme}://`, scheme);
  if (url.hash !== '') throw unsupported('a # must be written as %23', scheme);
  const parameters = new Map<string, string>();
  for (const [name, value] of url.searchParams) {
    if (parameters.has(name)) throw unsupported(`the parameter ${name} is there twice`, scheme);
    parameters.set(name, value);
  }
  const prefix = prefixOf(decoded(url.pathname, scheme), parameters.get('prefix'), scheme);
  parameters.delete('prefix');
  return { kind: 'store', scheme, bucket, prefix, parameters };
}

/** A path is a folder and gets its last slash; `?prefix=` is taken as it is. */
function prefixOf(path: string, given: string | undefined, scheme: string): string {
  const folder = path.replace(/^\//, '');
  if (given === undefined) return folder === '' || folder.endsWith('/') ? folder : `${folder}/`;
  if (folder !== '') throw unsupported('both a path and ?prefix=', scheme);
  return given;
}

function decoded(path: string, scheme: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw unsupported('the path has a % that is no escape', scheme);
  }
}

function unsupported(reason: string, scheme: string): WindlassError {
  return cliError('CLI_REPOSITORY_UNSUPPORTED', `repository ${scheme}://…: ${reason}`, { scheme });
}

/** The parameters of a provider, each known by name; a mistyped one must not be a setting that is silently missing. */
export class StoreParameters {
  readonly #address: StoreAddress;
  readonly #known: ReadonlySet<string>;

  constructor(address: StoreAddress, known: readonly string[]) {
    this.#address = address;
    this.#known = new Set(known);
    for (const name of address.parameters.keys()) {
      if (!this.#known.has(name))
        throw this.invalid(`unknown parameter ${name}; there are ${known.join(', ')}, prefix`);
    }
  }

  /** Undefined when it is missing or empty. */
  text(name: string): string | undefined {
    const value = this.#address.parameters.get(name);
    return value === '' ? undefined : value;
  }

  flag(name: string): boolean | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (value !== 'true' && value !== 'false') throw this.invalid(`${name} is true or false, not ${value}`);
    return value === 'true';
  }

  choice<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const value = this.text(name);
    const found = choices.find((choice) => choice.toLowerCase() === value?.toLowerCase());
    if (value !== undefined && found === undefined) throw this.invalid(`${name} is one of ${choices.join(', ')}`);
    return found;
  }

  /** `http://` or `https://`, a host and a port, nothing else. */
  origin(name: string): string | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const url = URL.canParse(value) ? new URL(value) : undefined;
    const isPlain = url !== undefined && url.origin === value.replace(/\/$/, '').toLowerCase();
    if (!isPlain || !/^https?:$/.test(url.protocol)) throw this.invalid(`${name} is not of the form https://host:port`);
    return url.origin;
  }

  invalid(reason: string): WindlassError {
    return unsupported(reason, this.#address.scheme);
  }
}
