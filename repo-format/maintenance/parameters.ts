// Maintenance settings of a repository: who, how often, which logs to keep. One manifest, labelled `type=maintenance`
// (snapshots §7.1). A rewrite keeps members that are not known here.
import type { ExactJson, ExactJsonObject } from '../../base/go-json.ts';
import { encodeGoJson } from '../../base/go-json.ts';
import {
  booleanMember,
  durationNsMember,
  integerMember,
  objectMember,
  parseObject,
  stringMember,
  withUnknownMembers,
} from '../format/json-members.ts';
import type { ManifestStore } from '../manifest/manifest-store.ts';
import { WindlassError } from '../../base/errors.ts';

export interface CycleParameters {
  readonly enabled: boolean;
  readonly intervalNs: bigint;
}

/** 0 means no limit. */
export interface LogRetention {
  readonly maxTotalSizeBytes: number;
  readonly maxCount: number;
  readonly maxAgeNs: bigint;
}

export interface MaintenanceParameters {
  /** `user@host`; empty for nobody. */
  readonly owner: string;
  readonly quick: CycleParameters;
  readonly full: CycleParameters;
  readonly logRetention: LogRetention;
  readonly extendObjectLocks: boolean;
  /** Lists of packs at a time; 0 for the program's own choice. */
  readonly listParallelism: number;
  /** As stored. */
  readonly raw: ExactJsonObject;
}

const HOUR_NS = 3600n * 1_000_000_000n;

export const DEFAULT_LOG_RETENTION: LogRetention = {
  maxTotalSizeBytes: 2 ** 30,
  maxCount: 10_000,
  maxAgeNs: 30n * 24n * HOUR_NS,
};

export const DEFAULT_PARAMETERS: MaintenanceParameters = {
  owner: '',
  quick: { enabled: true, intervalNs: HOUR_NS },
  full: { enabled: true, intervalNs: 24n * HOUR_NS },
  logRetention: DEFAULT_LOG_RETENTION,
  extendObjectLocks: false,
  listParallelism: 0,
  raw: {},
};

const LABELS = { type: 'maintenance' };

/** The settings in force: of several manifests the latest, without any the defaults, which name no owner. */
export async function loadParameters(manifests: ManifestStore, signal: AbortSignal): Promise<MaintenanceParameters> {
  const found = await manifests.find(LABELS, signal);
  const latest = found.at(-1);
  return latest === undefined ? DEFAULT_PARAMETERS : parseParameters(latest.dataJson);
}

/** Replaces the settings; visible to others after the next flush. */
export async function storeParameters(
  manifests: ManifestStore,
  parameters: MaintenanceParameters,
  signal: AbortSignal,
): Promise<void> {
  await manifests.replace(LABELS, encodeParameters(parameters), signal);
}

/** `MAINTENANCE_PARAMETERS_INVALID` for what kopia would not read either. */
export function parseParameters(json: string): MaintenanceParameters {
  try {
    const raw = parseObject(new TextEncoder().encode(json), 'maintenance parameters');
    const logs = objectMember(raw, 'logRetention');
    return {
      owner: stringMember(raw, 'owner'),
      quick: parseCycle(objectMember(raw, 'quick')),
      full: parseCycle(objectMember(raw, 'full')),
      logRetention: {
        maxTotalSizeBytes: integerMember(logs, 'maxTotalSize'),
        maxCount: integerMember(logs, 'maxCount'),
        maxAgeNs: durationNsMember(logs, 'maxAge'),
      },
      extendObjectLocks: booleanMember(raw, 'extendObjectLocks'),
      listParallelism: integerMember(raw, 'listParallelism'),
      raw,
    };
  } catch (cause) {
    throw new WindlassError('the maintenance settings cannot be read', {
      code: 'MAINTENANCE_PARAMETERS_INVALID',
      cause,
    });
  }
}

/** Kopia's members in kopia's order, all of them present; then what else was there. */
export function encodeParameters(parameters: MaintenanceParameters): string {
  const { raw } = parameters;
  const within = (name: string): ExactJsonObject => {
    try {
      return objectMember(raw, name);
    } catch {
      // It was not an object: nothing in it to keep.
      return {};
    }
  };
  const members = withUnknownMembers(
    {
      owner: parameters.owner,
      quick: encodeCycle(parameters.quick, within('quick')),
      full: encodeCycle(parameters.full, within('full')),
      logRetention: withUnknownMembers(
        {
          maxTotalSize: parameters.logRetention.maxTotalSizeBytes,
          maxCount: parameters.logRetention.maxCount,
          maxAge: parameters.logRetention.maxAgeNs,
        },
        within('logRetention'),
      ),
      extendObjectLocks: parameters.extendObjectLocks,
      listParallelism: parameters.listParallelism,
    },
    raw,
  );
  return encodeGoJson(members);
}

/** The limits that apply: three zeros stand for the defaults. */
export function effectiveLogRetention({ logRetention }: MaintenanceParameters): LogRetention {
  const { maxTotalSizeBytes, maxCount, maxAgeNs } = logRetention;
  return maxTotalSizeBytes === 0 && maxCount === 0 && maxAgeNs === 0n ? DEFAULT_LOG_RETENTION : logRetention;
}

function parseCycle(object: ExactJsonObject): CycleParameters {
  return { enabled: booleanMember(object, 'enabled'), intervalNs: durationNsMember(object, 'interval') };
}

function encodeCycle({ enabled, intervalNs }: CycleParameters, raw: ExactJsonObject): ExactJson {
  return withUnknownMembers({ enabled, interval: intervalNs }, raw);
}
