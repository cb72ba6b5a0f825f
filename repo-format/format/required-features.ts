// Features a client must know to use the repository (repository format §2.10).
import { WindlassError } from '../../base/errors.ts';
import { isJsonObject } from '../../base/go-json.ts';
import type { ExactJsonObject } from '../../base/go-json.ts';
import type { Logger } from '../../base/logger.ts';
import { arrayMember, booleanMember, formatInvalid, objectMember, stringMember } from './json-members.ts';

export interface RequiredFeature {
  readonly feature: string;
  /** Warn and go on instead of refusing. */
  readonly warnOnly: boolean;
  readonly message: string;
  readonly url: string;
  readonly upgradeToVersion: string;
}

const UNDERSTOOD: ReadonlySet<string> = new Set(['index-v1', 'index-v2']);

export function parseRequiredFeatures(config: ExactJsonObject): readonly RequiredFeature[] {
  return arrayMember(config, 'requiredFeatures').map((item) => {
    if (!isJsonObject(item)) throw formatInvalid('a required feature is not an object');
    const otherwise = objectMember(item, 'ifNotUnderstood');
    return {
      feature: stringMember(item, 'feature'),
      warnOnly: booleanMember(otherwise, 'warn'),
      message: stringMember(otherwise, 'message'),
      url: stringMember(otherwise, 'url'),
      upgradeToVersion: stringMember(otherwise, 'upgradeToVersion'),
    };
  });
}

/** `FORMAT_UNSUPPORTED` for a feature that we do not know and that insists; the others are logged. */
export function requireFeatures(features: readonly RequiredFeature[], logger: Logger): void {
  for (const feature of features) {
    if (UNDERSTOOD.has(feature.feature)) continue;
    const context = {
      feature: feature.feature,
      message: feature.message,
      url: feature.url,
      upgradeToVersion: feature.upgradeToVersion,
    };
    if (!feature.warnOnly) {
      throw new WindlassError(`the repository requires feature ${feature.feature}`, {
        code: 'FORMAT_UNSUPPORTED',
        context,
      });
    }
    logger.warn('the repository uses a feature that is not understood', context);
  }
}
