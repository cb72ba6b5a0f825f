// Lines of the log about one object, under the names that data movers use: one search finds all of a volume.
import type { Logger } from '../../base/logger.ts';
import type { Label } from './policy.ts';
import { type Movement, podName } from './subject.ts';

export type MovementLog = (message: string, movement: Movement, fields?: object, level?: 'info' | 'warn') => void;

export function movementLog(logger: Logger, label: Label): MovementLog {
  return (message, { metadata, spec }, fields = {}, level = 'info') => {
    const { name, namespace } = metadata;
    logger[level](message, {
      [label === 'PVB' ? 'podVolumeBackup' : 'podVolumeRestore']: `${namespace}/${name}`,
      pod: podName(spec.pod),
      volume: spec.volume,
      ...fields,
    });
  };
}
