// From the text of a file, YAML or JSON, to the one BackupStorageLocation in it. As strict as the Kubernetes API: what it would
// refuse is refused here, with the path of the member, so that a mistyped file never leads to the wrong bucket.
import { locationError } from './location-error.ts';

/** What a repository needs of a `velero.io/v1` BackupStorageLocation. */
export interface BackupStorageLocation {
  readonly name: string;
  readonly provider: string;
  readonly bucket: string;
  readonly prefix: string;
  /** PEM text, decoded from `spec.objectStorage.caCert`. */
  readonly caCertPem?: string;
  /** The Secret that has the certificate; nothing here can read it. */
  readonly caCertRef?: SecretKey;
  readonly credential?: SecretKey;
  readonly config: Readonly<Record<string, string>>;
  readonly readOnly: boolean;
}

export interface SecretKey {
  readonly name: string;
  readonly key: string;
}

/** Objects of a cluster stay below what etcd takes. */
export const MAX_LOCATION_BYTES = 1 << 20;
const MAX_OBJECTS = 1000;
const MAX_CONFIG_KEYS = 100;
const MAX_VALUE_LENGTH = 4096;
const MAX_ALIASES = 100;

type Members = Readonly<Record<string, unknown>>;

/** The location in `text`; of several the one that says `default: true`. */
export async function parseLocation(text: string): Promise<BackupStorageLocation> {
  if (text.length > MAX_LOCATION_BYTES) throw invalid('the file is longer than 1 MiB');
  const found = (await documentsOf(text)).flatMap(itemsOf).filter((object) => object['kind'] === KIND);
  if (found.length > MAX_OBJECTS) throw invalid(`the file holds more than ${MAX_OBJECTS} objects`);
  const defaults = found.filter((object) => memberOf(object, 'spec')['default'] === true);
  const [chosen, ...others] = found.length > 1 && defaults.length > 0 ? defaults : found;
  if (chosen === undefined) throw invalid('the file holds no BackupStorageLocation');
  if (others.length > 0) {
    const names = [chosen, ...others].map(nameOf).join(', ');
    throw invalid(`the file holds several BackupStorageLocations (${names}) and not one of them as the default`);
  }
  return readLocation(chosen);
}

const KIND = 'BackupStorageLocation';

async function documentsOf(text: string): Promise<unknown[]> {
  // A byte order mark, as some editors leave.
  const plain = text.replace(/^\uFEFF/, '');
  try {
    if (/^\s*[{[]/.test(plain)) return [JSON.parse(plain) as unknown];
  } catch {
    // Flow style looks like JSON and is YAML.
  }
  const { parseAllDocuments } = await import('yaml');
  try {
    const documents = parseAllDocuments(plain, { strict: true, uniqueKeys: true, logLevel: 'silent' });
    return [...documents].map((document) => {
      const [problem] = document.errors;
      if (problem !== undefined) throw problem;
      return document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown;
    });
  } catch (cause) {
    // Of the parser's message only what and where: the rest quotes the file.
    const [reason] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
    throw locationError('LOCATION_INVALID', `the file is neither JSON nor YAML: ${reason}`);
  }
}

function itemsOf(document: unknown): Members[] {
  if (!isMembers(document)) return [];
  const { kind, items } = document;
  if (typeof kind !== 'string' || !kind.endsWith('List')) return [document];
  if (!Array.isArray(items)) return [];
  // A typed list's items need not repeat what they are.
  const implied = kind === `${KIND}List` ? { apiVersion: document['apiVersion'], kind: KIND } : {};
  return items.filter(isMembers).map((item) => ({ ...implied, ...item }));
}

/** The parts of the object that say where a repository is; `LOCATION_INVALID` names what is wrong with it. */
export function readLocation(object: Members): BackupStorageLocation {
  const { apiVersion } = object;
  if (apiVersion !== 'velero.io/v1') throw invalid(`apiVersion is ${shown(apiVersion)}, not velero.io/v1`);
  const spec = memberOf(object, 'spec');
  const config = readConfig(spec['config']);
  const storage = spec['objectStorage'];
  // Without `objectStorage` Velero takes both from the configuration.
  const place = isMembers(storage) ? storage : config;
  const provider = textOf(spec, 'provider', 'spec.provider');
  if (provider === '') throw invalid('spec.provider is missing');
  const caCertPem = isMembers(storage) ? readCaCert(storage['caCert']) : undefined;
  const caCertRef = isMembers(storage)
    ? readSecretKey(storage['caCertRef'], 'spec.objectStorage.caCertRef')
    : undefined;
  const credential = readSecretKey(spec['credential'], 'spec.credential');
  return {
    name: nameOf(object),
    provider,
    bucket: trimSlashes(textOf(place, 'bucket', 'spec.objectStorage.bucket')),
    prefix: trimSlashes(textOf(place, 'prefix', 'spec.objectStorage.prefix')),
    config,
    readOnly: readAccessMode(spec['accessMode']),
    ...(caCertPem === undefined ? {} : { caCertPem }),
    ...(caCertRef === undefined ? {} : { caCertRef }),
    ...(credential === undefined ? {} : { credential }),
  };
}

function readConfig(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  if (!isMembers(value)) throw invalid('spec.config is not a map');
  const entries = Object.entries(value);
  if (entries.length > MAX_CONFIG_KEYS) throw invalid(`spec.config has more than ${MAX_CONFIG_KEYS} keys`);
  for (const [key, text] of entries) {
    if (typeof text !== 'string') throw invalid(`spec.config.${key} is ${shown(text)}, not a string: put it in quotes`);
    if (text.length > MAX_VALUE_LENGTH)
      throw invalid(`spec.config.${key} is longer than ${MAX_VALUE_LENGTH} characters`);
  }
  return Object.fromEntries(entries) as Record<string, string>;
}

function readCaCert(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw invalid('spec.objectStorage.caCert is not a string');
  const pem = Buffer.from(value, 'base64').toString('utf8');
  if (!pem.includes('-----BEGIN CERTIFICATE-----'))
    throw invalid('spec.objectStorage.caCert is not a PEM certificate in base64');
  return pem;
}

function readSecretKey(value: unknown, path: string): SecretKey | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isMembers(value)) throw invalid(`${path} is not a map`);
  return { name: textOf(value, 'name', `${path}.name`), key: textOf(value, 'key', `${path}.key`) };
}

function readAccessMode(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === 'ReadWrite') return false;
  if (value === 'ReadOnly') return true;
  throw invalid(`spec.accessMode is ${shown(value)}, neither ReadWrite nor ReadOnly`);
}

function nameOf(object: Members): string {
  return textOf(memberOf(object, 'metadata'), 'name', 'metadata.name');
}

function memberOf(object: Members, name: string): Members {
  const value = object[name];
  if (value === undefined || value === null) return {};
  if (!isMembers(value)) throw invalid(`${name} is not a map`);
  return value;
}

function textOf(object: Members, name: string, path: string): string {
  const value = object[name];
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw invalid(`${path} is ${shown(value)}, not a string`);
  if (value.length > MAX_VALUE_LENGTH) throw invalid(`${path} is longer than ${MAX_VALUE_LENGTH} characters`);
  return value;
}

function trimSlashes(text: string): string {
  return text.replace(/^\/+|\/+$/g, '');
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A scalar for a message, and never much of it. */
function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  return typeof value === 'object' ? 'an object' : JSON.stringify(value).slice(0, 60);
}

function invalid(reason: string) {
  return locationError('LOCATION_INVALID', `backup storage location: ${reason}`);
}
