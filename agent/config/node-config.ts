// The node agents' ConfigMap (node-agent §7.1): what of it counts here, what has no effect, and what is wrong with it.
import { WindlassError } from '../../base/errors.ts';
import { parseQuantityBytes } from './quantity.ts';

export interface NodeConfig {
  readonly globalConcurrency: number;
  readonly perNodeConcurrency: readonly PerNodeRule[];
  /** 0: no limit. */
  readonly prepareQueueLength: number;
  /** From `podResources`: the budget of one data mover. */
  readonly memoryLimitBytes: number | undefined;
  readonly cpuLimit: number | undefined;
}

export interface PerNodeRule {
  readonly selector: LabelSelector;
  readonly number: number;
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | null;
  readonly matchExpressions?:
    readonly { readonly key: string; readonly operator: string; readonly values?: readonly string[] | null }[] | null;
}

export interface ReadNodeConfig {
  readonly config: NodeConfig;
  /** One line each, for the log: what is ignored, and why. */
  readonly remarks: readonly string[];
}

export const DEFAULT_NODE_CONFIG: NodeConfig = {
  globalConcurrency: 1,
  perNodeConcurrency: [],
  prepareQueueLength: 0,
  memoryLimitBytes: undefined,
  cpuLimit: undefined,
};

/** They only shape pods that this agent does not need: it moves a volume in a process of its own. */
const WITHOUT_EFFECT = ['priorityClassName', 'podLabels', 'podAnnotations', 'privilegedFsBackup', 'cachePVC'];
const OF_SNAPSHOTS = ['loadAffinity', 'backupPVC', 'restorePVC'];
const MAX_RULES = 1000;
/** What a data mover can be started with, as its flag has it. */
const MIN_MEMORY_BYTES = 64 * 2 ** 20;
const MAX_MEMORY_BYTES = 2 ** 40;
const MAX_CPUS = 1024;
const OPERATORS: ReadonlySet<unknown> = new Set(['In', 'NotIn', 'Exists', 'DoesNotExist']);

type Members = Readonly<Record<string, unknown>>;

/** `NODE_CONFIG_INVALID` where Velero's agent would not start: then the configuration before stays. */
export function readNodeConfig(data: Readonly<Record<string, string>> | undefined): ReadNodeConfig {
  const entries = Object.entries(data ?? {});
  const [only, ...more] = entries;
  if (only === undefined) throw invalid('it has no data');
  if (more.length > 0) throw invalid(`it has ${entries.length} keys, and only one is expected`);
  const members = parseObject(only[1]);
  const remarks: string[] = [];
  for (const name of WITHOUT_EFFECT)
    if (name in members) remarks.push(`${name} has no effect: there are no hosting pods`);
  for (const name of OF_SNAPSHOTS) if (name in members) remarks.push(`${name} counts for CSI snapshots only`);
  const load = memberObject(members['loadConcurrency']);
  return {
    config: {
      globalConcurrency: positive(load['globalConfig']) ?? 1,
      perNodeConcurrency: rulesOf(load['perNodeConfig'], remarks),
      prepareQueueLength: positive(load['prepareQueueLength']) ?? 0,
      ...resourcesOf(members['podResources'], remarks),
    },
    remarks,
  };
}

/** Velero's rule: the smallest number of the rules that match, else the global one. */
export function concurrencyOf(config: NodeConfig, nodeLabels: Readonly<Record<string, string>>): number {
  const matching = config.perNodeConcurrency.filter(({ selector }) => matches(selector, nodeLabels));
  return matching.length === 0 ? config.globalConcurrency : Math.min(...matching.map(({ number }) => number));
}

export function matches(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const equal = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return equal && (selector.matchExpressions ?? []).every((expression) => matchesExpression(expression, labels));
}

function matchesExpression(
  { key, operator, values: given }: NonNullable<LabelSelector['matchExpressions']>[number],
  labels: Readonly<Record<string, string>>,
): boolean {
  const values = given ?? [];
  const value = labels[key];
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return false;
  }
}

function rulesOf(value: unknown, remarks: string[]): PerNodeRule[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, MAX_RULES).flatMap((rule: unknown): PerNodeRule[] => {
    const { nodeSelector, number } = memberObject(rule);
    const count = positive(number);
    if (count === undefined) {
      remarks.push(`a rule of perNodeConfig is skipped: its number is ${JSON.stringify(number)}`);
      return [];
    }
    const selector = nodeSelector ?? {};
    if (!isSelector(selector)) {
      remarks.push('a rule of perNodeConfig is skipped: its nodeSelector is no label selector');
      return [];
    }
    return [{ selector, number: count }];
  });
}

/** Whoever matches with it later cannot say that it is wrong. */
function isSelector(value: unknown): value is LabelSelector {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const { matchLabels, matchExpressions } = value as Members;
  const expressions = matchExpressions ?? [];
  return isStrings(matchLabels ?? {}) && Array.isArray(expressions) && expressions.every(isExpression);
}

function isExpression(value: unknown): boolean {
  const { key, operator, values } = memberObject(value);
  const listed = values ?? [];
  return typeof key === 'string' && OPERATORS.has(operator) && Array.isArray(listed) && isStrings(listed);
}

function isStrings(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string');
}

function resourcesOf(value: unknown, remarks: string[]): Pick<NodeConfig, 'memoryLimitBytes' | 'cpuLimit'> {
  const none = { memoryLimitBytes: undefined, cpuLimit: undefined };
  if (value === undefined || value === null) return none;
  const { memoryLimit = '', cpuLimit = '', memoryRequest = '', cpuRequest = '' } = memberObject(value);
  const read = [memoryLimit, cpuLimit, memoryRequest, cpuRequest].map((text) =>
    typeof text === 'string' ? parseQuantityBytes(text) : undefined,
  );
  const [memory, cpu, memoryWanted, cpuWanted] = read;
  if (memory === undefined || cpu === undefined || memoryWanted === undefined || cpuWanted === undefined) {
    remarks.push('podResources is ignored: its four CPU and memory quantities must all be there ("0" for none)');
    return none;
  }
  if ((memory > 0 && memoryWanted > memory) || (cpu > 0 && cpuWanted > cpu)) {
    remarks.push('podResources is ignored: a request is above its limit');
    return none;
  }
  return {
    memoryLimitBytes: memory > 0 ? Math.min(Math.max(memory, MIN_MEMORY_BYTES), MAX_MEMORY_BYTES) : undefined,
    cpuLimit: cpu > 0 ? Math.min(cpu, MAX_CPUS) : undefined,
  };
}

function parseObject(text: string): Members {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(`it is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('it is no JSON object');
  return value as Members;
}

function memberObject(value: unknown): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {};
}

function positive(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined;
}

function invalid(reason: string): WindlassError {
  return new WindlassError(`the ConfigMap of node agents cannot be used: ${reason}`, { code: 'NODE_CONFIG_INVALID' });
}
