// Policies within one snapshot: the effective one of the source at its root, and those stored for paths below it, which apply
// as they are, to their whole sub-tree (snapshots §4.7).
import type { ManifestStore } from '../manifest/manifest-store.ts';
import { type EffectivePolicy, listPolicies, loadEffectivePolicy } from './effective-policy.ts';
import type { Policy } from './policy.ts';
import type { SnapshotSource } from './source.ts';

/** A node of the tree; most directories share one with their parent. */
export class PolicyNode {
  readonly policy: Policy;
  readonly #children = new Map<string, PolicyNode>();
  /** For all children without a node of their own, when some have one. */
  #other: PolicyNode | undefined;

  constructor(policy: Policy) {
    this.policy = policy;
  }

  /** True when nothing is stored for anything below. */
  get isLeaf(): boolean {
    return this.#children.size === 0;
  }

  /** The node of an entry called `name`: its own, or this one when nothing is stored for it or below it. */
  child(name: string): PolicyNode {
    const child = this.#children.get(name);
    if (child !== undefined) return child;
    if (this.#children.size === 0) return this;
    return (this.#other ??= new PolicyNode(this.policy));
  }

  /** Every policy of the tree, this node's first; one that several nodes share comes several times. */
  *policies(): Generator<Policy> {
    yield this.policy;
    for (const child of this.#children.values()) yield* child.policies();
  }

  /** A node for a stored policy, or on the way to one. Nearer policies must be added before those below them. */
  add(path: readonly string[], policy: Policy): void {
    const [name, ...rest] = path;
    if (name === undefined) return;
    const present = this.#children.get(name);
    if (rest.length === 0) {
      this.#children.set(name, new PolicyNode(policy));
      return;
    }
    const node = present ?? new PolicyNode(this.policy);
    this.#children.set(name, node);
    node.add(rest, policy);
  }
}

export interface SourcePolicies {
  readonly effective: EffectivePolicy;
  readonly root: PolicyNode;
}

export async function loadPolicyTree(
  manifests: ManifestStore,
  source: SnapshotSource,
  signal: AbortSignal,
): Promise<SourcePolicies> {
  const effective = await loadEffectivePolicy(manifests, source, signal);
  const below = (await listPolicies(manifests, signal)).flatMap(({ target, policy }) => {
    const isHere = target.host === source.host && target.userName === source.userName && target.path !== '';
    const path = isHere ? relativePath(source.path, target.path) : undefined;
    return path === undefined ? [] : [{ path, policy }];
  });
  const root = new PolicyNode(effective.policy);
  for (const { path, policy } of below.sort((a, b) => a.path.length - b.path.length)) root.add(path, policy);
  return { effective, root };
}

/** The path elements from `parent` down to `child`, undefined when it is not below. */
function relativePath(parent: string, child: string): string[] | undefined {
  const base = parent.endsWith('/') ? parent : `${parent}/`;
  if (!child.startsWith(base) || child.length === base.length) return undefined;
  return child.slice(base.length).split('/');
}
