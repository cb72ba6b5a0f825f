// Keys that stand plainly in a credentials file, as Velero's Secrets have them: the library that understands all that may stand in
// one takes longer to load than a small volume takes to be backed up.
import type { S3Credentials } from './s3-options.ts';

const PLAIN_KEYS = new Set(['aws_access_key_id', 'aws_secret_access_key', 'aws_session_token', 'region', 'output']);

/** Undefined wherever the library might say otherwise: roles, processes, other sources, two sections of one name. */
export function plainCredentials(text: string, profile: string): S3Credentials | undefined {
  const found = sectionsOf(text, profile);
  const [section] = found;
  if (section === undefined || found.length > 1) return undefined;
  for (const key of section.keys()) if (!PLAIN_KEYS.has(key)) return undefined;
  const accessKeyId = section.get('aws_access_key_id') ?? '';
  const secretAccessKey = section.get('aws_secret_access_key') ?? '';
  const sessionToken = section.get('aws_session_token') ?? '';
  if (accessKeyId === '' || secretAccessKey === '') return undefined;
  return { accessKeyId, secretAccessKey, ...(sessionToken === '' ? {} : { sessionToken }) };
}

/** Of `[name]` and `[profile name]` alike. A line that is none of the format makes every section worthless. */
function sectionsOf(text: string, profile: string): ReadonlyMap<string, string>[] {
  const found: Map<string, string>[] = [];
  let current: Map<string, string> | undefined;
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue;
    const [, name] = /^\[(?:profile\s+)?([^\]]+)\]$/.exec(line) ?? [];
    if (name !== undefined) {
      current = name.trim() === profile ? new Map() : undefined;
      if (current !== undefined) found.push(current);
      continue;
    }
    const [, key, value = ''] = /^([A-Za-z0-9_]+)\s*=\s*(\S*)$/.exec(line) ?? [];
    // Quotes, comments behind values, nested settings: not ours to judge.
    if (key === undefined || raw !== raw.trimStart() || current?.has(key) === true) current?.set('?', line);
    else current?.set(key, value);
  }
  return found;
}
