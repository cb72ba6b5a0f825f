// Hears when a mounted Secret or ConfigMap is replaced: the kubelet swaps the link `..data` in its folder. The one adapter of chokidar.
import { existsSync } from 'node:fs';
import { watch } from 'chokidar';
import type { Logger } from '../../base/logger.ts';

/** A link that was missed, or a file system without events. */
const LOOK_AGAIN_MS = 300_000;

export interface FolderWatch {
  close(): Promise<void>;
}

/** `onChange` is called after each change, and every five minutes. Folders that do not exist are not watched. */
export function watchFolder(folder: string, onChange: () => void, logger: Logger): FolderWatch {
  if (!existsSync(folder)) return { close: () => Promise.resolve() };
  const options = { followSymlinks: false, depth: 0, ignoreInitial: true };
  const watcher = watch(folder, options);
  watcher.on('all', () => onChange());
  // Too few inotify instances are common on nodes: then the slow look is what there is.
  watcher.on('error', (error) => logger.warn('a folder cannot be watched', { folder, error: String(error) }));
  const timer = setInterval(onChange, LOOK_AGAIN_MS);
  timer.unref();
  return {
    async close() {
      clearInterval(timer);
      await watcher.close();
    },
  };
}
