// Which policies apply to a source, and what they say together (snapshots §4.7).
import { WindlassError } from '../../base/errors.ts';
import { type ExactJson, type ExactJsonObject, compareUtf8, encodeGoJson, isJsonObject } from '../../base/go-json.ts';
import { type Labels, type ManifestId, type ManifestMetadata, pickLatest } from '../manifest/manifest-entry.ts';
import type { ManifestStore } from '../manifest/manifest-store.ts';
import { DEFAULT_POLICY, type Policy, encodePolicy, isUnset, parsePolicy, policyTree } from './policy.ts';
import { POLICY_FIELDS, type PolicyField } from './policy-schema.ts';
import type { SnapshotSource } from './source.ts';

export const GLOBAL_POLICY_TARGET: SnapshotSource = { host: '', userName: '', path: '' };

/** A policy that someone stored. */
export interface StoredPolicy {
  readonly id: ManifestId;
  readonly target: SnapshotSource;
  readonly policy: Policy;
}

export interface EffectivePolicy {
  /** Everything set: by a stored policy, or by the built-in defaults. */
  readonly policy: Policy;
  /** What stored policies alone say. Kopia's defaults for ignoring files are not asked for by anyone; this tells. */
  readonly stored: Policy;
  /** The stored policies that contributed, most specific first. */
  readonly sources: readonly StoredPolicy[];
}

/** The labels of the policy for exactly this target: a path, a user, a host, or everything. */
export function policyLabels({ host, userName, path }: SnapshotSource): Labels {
  const type = { type: 'policy' };
  if (path !== '') return { ...type, policyType: 'path', username: userName, hostname: host, path };
  if (userName !== '') return { ...type, policyType: 'user', username: userName, hostname: host };
  if (host !== '') return { ...type, policyType: 'host', hostname: host };
  return { ...type, policyType: 'global' };
}

/** The policy stored for exactly this target, if any. */
export async function loadPolicy(
  manifests: ManifestStore,
  target: SnapshotSource,
  signal: AbortSignal,
): Promise<StoredPolicy | undefined> {
  // Two clients may have stored one each at the same time.
  const manifest = pickLatest(await manifests.find(policyLabels(target), signal));
  return manifest === undefined ? undefined : { id: manifest.id, target, policy: parsePolicy(manifest.dataJson) };
}

/** Makes `policy` the one of this target. `POLICY_INVALID` for a path that ends in a slash. */
export async function setPolicy(
  manifests: ManifestStore,
  target: SnapshotSource,
  policy: Policy,
  signal: AbortSignal,
): Promise<ManifestId> {
  if (/[^/\\][/\\]$/.test(target.path) && !/^[A-Za-z]:[/\\]$/.test(target.path)) {
    throw new WindlassError('the path of a policy cannot end in a slash', {
      code: 'POLICY_INVALID',
      context: { path: target.path },
    });
  }
  if (target.path !== '' && policy.upload?.maxParallelSnapshots !== undefined) {
    throw new WindlassError('upload.maxParallelSnapshots is not for paths', { code: 'POLICY_INVALID' });
  }
  return manifests.replace(policyLabels(target), encodePolicy(policy), signal);
}

/** Removes the policy of this target; without one nothing happens. */
export async function removePolicy(
  manifests: ManifestStore,
  target: SnapshotSource,
  signal: AbortSignal,
): Promise<void> {
  for (const { id } of await manifests.find(policyLabels(target), signal)) await manifests.delete(id, signal);
}

export async function listPolicies(manifests: ManifestStore, signal: AbortSignal): Promise<StoredPolicy[]> {
  const found = await manifests.find({ type: 'policy' }, signal);
  return found.map(({ id, labels, dataJson }) => ({ id, target: targetOf(labels), policy: parsePolicy(dataJson) }));
}

function targetOf(labels: ManifestMetadata['labels']): SnapshotSource {
  const { hostname: host = '', username: userName = '', path = '' } = labels;
  return { host, userName, path };
}

/** What applies to a source: its own policy, those of its parent paths, of user, host and everything, then the defaults. */
export async function loadEffectivePolicy(
  manifests: ManifestStore,
  source: SnapshotSource,
  signal: AbortSignal,
): Promise<EffectivePolicy> {
  const sources: StoredPolicy[] = [];
  for (const target of policyTargets(source)) {
    const stored = await loadPolicy(manifests, target, signal);
    if (stored === undefined) continue;
    sources.push(stored);
    if (stored.policy.noParent === true) break;
  }
  return mergePolicies(source, sources);
}

/** The targets whose policies apply to `source`, most specific first. */
export function policyTargets(source: SnapshotSource): SnapshotSource[] {
  const targets: SnapshotSource[] = [];
  for (let path = source.path; path !== '';) {
    targets.push({ ...source, path });
    const parent = parentPath(path);
    if (parent === path) break;
    path = parent;
  }
  for (const wider of [{ ...source, path: '' }, { host: source.host, userName: '', path: '' }, GLOBAL_POLICY_TARGET]) {
    // A user, a host or everything is its own source: named once.
    const last = targets.at(-1);
    if (last === undefined || !isSameTarget(last, wider)) targets.push(wider);
  }
  return targets;
}

/** Up one level, by either slash: sources of other systems are in the same repository. Roots are their own parents. */
function parentPath(path: string): string {
  const volume = /^[^/\\]:(?=[/\\])/.exec(path)?.[0] ?? '';
  let rest = path.slice(volume.length);
  if (rest.length > 1 && /[/\\]$/.test(rest)) rest = rest.slice(0, -1);
  const last = Math.max(rest.lastIndexOf('/'), rest.lastIndexOf('\\'));
  if (last < 0) return path;
  return volume + rest.slice(0, last === 0 ? 1 : last);
}

/** Merges stored policies, most specific first; the defaults come after them unless one says `noParent`. */
export function mergePolicies(source: SnapshotSource, sources: readonly StoredPolicy[]): EffectivePolicy {
  const trees: ExactJsonObject[] = [];
  let hasParents = true;
  for (const { policy } of sources) {
    if (!hasParents) break;
    trees.push(policyTree(policy));
    hasParents = policy.noParent !== true;
  }
  const [nearest] = sources;
  const isOwn = nearest !== undefined && isSameTarget(nearest.target, source);
  const ownTree = isOwn ? trees[0] : undefined;
  const all = hasParents ? [...trees, policyTree(DEFAULT_POLICY)] : trees;
  return {
    policy: mergeStructs(all, ownTree, POLICY_FIELDS),
    stored: mergeStructs(trees, ownTree, POLICY_FIELDS),
    sources: sources.slice(0, trees.length),
  };
}

function isSameTarget(a: SnapshotSource, b: SnapshotSource): boolean {
  return a.host === b.host && a.userName === b.userName && a.path === b.path;
}

function mergeStructs(
  trees: readonly (ExactJsonObject | undefined)[],
  own: ExactJsonObject | undefined,
  fields: readonly PolicyField[],
): ExactJsonObject {
  const merged: Record<string, ExactJson> = {};
  for (const field of fields) {
    // A merged policy has no parents any more.
    if (field.name === 'noParent') continue;
    const value = mergeField(trees, own, field);
    if (value !== undefined) merged[field.name] = value;
  }
  return merged;
}

function mergeField(
  trees: readonly (ExactJsonObject | undefined)[],
  own: ExactJsonObject | undefined,
  field: PolicyField,
): ExactJson | undefined {
  if (field.kind === 'struct') {
    const below = (tree: ExactJsonObject | undefined): ExactJsonObject | undefined => {
      const value = tree?.[field.name];
      return isJsonObject(value) ? value : undefined;
    };
    return mergeStructs(trees.map(below), below(own), field.fields ?? []);
  }
  if (field.merge === 'own') return own?.[field.name];
  if (field.merge === 'first') {
    return trees.map((tree) => tree?.[field.name]).find((value) => !isUnset(value, field));
  }
  return mergeUnion(trees, field);
}

function mergeUnion(trees: readonly (ExactJsonObject | undefined)[], field: PolicyField): ExactJson | undefined {
  const values = new Map<string, ExactJson>();
  for (const tree of trees) {
    const list = tree?.[field.name];
    for (const value of Array.isArray(list) ? (list as readonly ExactJson[]) : []) values.set(unionKey(value), value);
    if (field.stop !== undefined && tree?.[field.stop] === true) break;
  }
  if (values.size === 0) return undefined;
  return [...values.entries()].sort(([a], [b]) => compareUtf8(a, b)).map(([, value]) => value);
}

/** Sorts extensions by name and times of day by hour and minute; the types were checked when the policy was read. */
function unionKey(value: ExactJson): string {
  if (typeof value === 'string') return value;
  if (!isJsonObject(value)) return encodeGoJson(value);
  const { hour = 0, min = 0 } = value;
  return `${encodeGoJson(hour).padStart(2, '0')}:${encodeGoJson(min).padStart(2, '0')}`;
}
