// The ConfigMap with the configuration of maintenance Jobs (node-agent §6.4): `global` and one entry a repository, each a JSON object.

type Texts = Readonly<Record<string, string>>;
type Members = Readonly<Record<string, unknown>>;

export interface MaintenanceJobConfig {
  readonly affinity?: object;
  readonly resources?: object;
  readonly keptJobs?: number;
  readonly priorityClassName?: string;
  readonly podAnnotations?: Texts;
  readonly podLabels?: Texts;
}

/** `remarks`: what had to be ignored. A wrong entry never stops maintenance. */
export function maintenanceJobConfig(
  data: Texts,
  repository: string,
): { readonly config: MaintenanceJobConfig; readonly remarks: readonly string[] } {
  const remarks: string[] = [];
  const [global, own] = ['global', repository].map((key) => parseMembers(data, key, remarks)) as [Members, Members];
  const common = { ...global, ...own };
  // Of these three Velero prefers what is said of all.
  const of = (name: string): unknown => (isGiven(global[name]) ? global[name] : own[name]);
  const affinity = affinityOf(common['loadAffinity'], remarks);
  const resources = resourcesOf(common['podResources'], remarks);
  const kept = common['keepLatestMaintenanceJobs'];
  const priorityClassName = of('priorityClassName');
  const podAnnotations = textsOf(of('podAnnotations'));
  const podLabels = textsOf(of('podLabels'));
  return {
    config: {
      ...(affinity === undefined ? {} : { affinity }),
      ...(resources === undefined ? {} : { resources }),
      ...(typeof kept === 'number' && Number.isInteger(kept) && kept > 0 ? { keptJobs: kept } : {}),
      ...(typeof priorityClassName === 'string' && priorityClassName !== '' ? { priorityClassName } : {}),
      ...(podAnnotations === undefined ? {} : { podAnnotations }),
      ...(podLabels === undefined ? {} : { podLabels }),
    },
    remarks,
  };
}

function parseMembers(data: Texts, key: string, remarks: string[]): Members {
  const text = data[key];
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (isMembers(value)) return value;
  } catch {
    // Said below.
  }
  remarks.push(`${key} is ignored: it is no JSON object`);
  return {};
}

/** Velero takes the first element alone. */
function affinityOf(value: unknown, remarks: string[]): object | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  if (value.length > 1) remarks.push('only the first element of loadAffinity counts');
  const [first] = value as unknown[];
  const selector = isMembers(first) ? first['nodeSelector'] : undefined;
  if (!isMembers(selector)) return undefined;
  const { matchLabels, matchExpressions } = selector;
  const expressions = [
    ...Object.entries(textsOf(matchLabels) ?? {}).map(([key, text]) => ({ key, operator: 'In', values: [text] })),
    ...(Array.isArray(matchExpressions) ? (matchExpressions as unknown[]).filter(isMembers) : []),
  ];
  if (expressions.length === 0) return undefined;
  const nodeSelectorTerms = [{ matchExpressions: expressions }];
  return { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } };
}

const QUANTITY = /^\d+(\.\d+)?([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?$/;

/** "0" means none. */
function resourcesOf(value: unknown, remarks: string[]): object | undefined {
  if (!isMembers(value)) return undefined;
  const { cpuRequest, memoryRequest, cpuLimit, memoryLimit } = value;
  const all = [cpuRequest, memoryRequest, cpuLimit, memoryLimit];
  if (!all.every((text) => text === undefined || (typeof text === 'string' && QUANTITY.test(text)))) {
    remarks.push('podResources is ignored: its members must be quantities ("0" for none)');
    return undefined;
  }
  const given = (cpu: unknown, memory: unknown): object => ({
    ...(cpu === undefined || cpu === '0' ? {} : { cpu }),
    ...(memory === undefined || memory === '0' ? {} : { memory }),
  });
  return { requests: given(cpuRequest, memoryRequest), limits: given(cpuLimit, memoryLimit) };
}

function textsOf(value: unknown): Texts | undefined {
  if (!isMembers(value)) return undefined;
  return Object.fromEntries(Object.entries(value).filter(([, text]) => typeof text === 'string')) as Texts;
}

function isGiven(value: unknown): boolean {
  return isMembers(value) ? Object.keys(value).length > 0 : typeof value === 'string' && value !== '';
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
