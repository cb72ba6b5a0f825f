// Reads the values of a location's `config`, which are all strings, as Velero's plugins read them.
import { locationError } from './location-error.ts';

export type LocationConfig = Readonly<Record<string, string>>;

/** The value, or undefined when the key is absent or empty: the plugins make no difference. */
export function textValue(config: LocationConfig, key: string): string | undefined {
  const value = config[key];
  return value === '' ? undefined : value;
}

const TRUE = ['1', 't', 'T', 'TRUE', 'true', 'True'];
const FALSE = ['0', 'f', 'F', 'FALSE', 'false', 'False'];

/** Go's spelling of a truth value; false when absent. */
export function booleanValue(config: LocationConfig, key: string): boolean {
  const value = textValue(config, key);
  if (value === undefined || FALSE.includes(value)) return false;
  if (TRUE.includes(value)) return true;
  throw invalidValue(key, value, 'neither true nor false');
}

/** The URL without a final slash. */
export function urlValue(config: LocationConfig, key: string): URL | undefined {
  const value = textValue(config, key);
  if (value === undefined) return undefined;
  if (!/^https?:\/\//i.test(value) || !URL.canParse(value)) throw invalidValue(key, value, 'not an http or https URL');
  return new URL(value);
}

/** Refuses keys that the provider's plugin would refuse, too: a mistyped one would silently not apply. */
export function requireKnownKeys(config: LocationConfig, valid: readonly string[]): void {
  const unknown = Object.keys(config).filter((key) => !valid.includes(key) && !INJECTED.includes(key));
  if (unknown.length === 0) return;
  throw locationError(
    'LOCATION_INVALID',
    `spec.config has invalid keys: ${unknown.join(', ')}; valid are ${valid.join(', ')}`,
    { keys: unknown.join(', ') },
  );
}

/** Velero puts these in by itself. */
const INJECTED = ['bucket', 'prefix', 'caCert', 'credentialsFile'];

export function invalidValue(key: string, value: string, reason: string) {
  return locationError('LOCATION_INVALID', `spec.config.${key} is ${JSON.stringify(value.slice(0, 100))}: ${reason}`, {
    key,
  });
}
