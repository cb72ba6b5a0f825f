// The node agents' ConfigMap as it is now: a new value that cannot be used leaves the one before in force, and is said so.
import { errorCode } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { ConfigMap } from '../../kube/index.ts';
import { DEFAULT_NODE_CONFIG, type NodeConfig, readNodeConfig } from './node-config.ts';

export interface LiveNodeConfigDeps {
  readonly logger: Logger;
  readonly onChange: (config: NodeConfig) => void;
  /** False while a value is there that cannot be used. */
  readonly onCurrent: (isCurrent: boolean) => void;
}

export class LiveNodeConfig {
  readonly #deps: LiveNodeConfigDeps;
  #config = DEFAULT_NODE_CONFIG;
  readonly #told = new Set<string>();

  constructor(deps: LiveNodeConfigDeps) {
    this.#deps = deps;
  }

  get config(): NodeConfig {
    return this.#config;
  }

  /** Undefined: there is no such map, which is as good as an empty configuration. */
  take(map: ConfigMap | undefined): void {
    const { logger, onChange, onCurrent } = this.#deps;
    try {
      const { config, remarks } =
        map === undefined ? { config: DEFAULT_NODE_CONFIG, remarks: [] } : readNodeConfig(map.data);
      // Once each, or every agent would say it at every change.
      for (const remark of remarks) if (!this.#told.has(remark)) logger.warn(`node agent configuration: ${remark}`);
      for (const remark of remarks) this.#told.add(remark);
      this.#config = config;
      onCurrent(true);
      onChange(config);
    } catch (error) {
      onCurrent(false);
      const { message } = error as Error;
      logger.error(`${message}; the configuration before stays in force`, { code: errorCode(error) });
    }
  }
}
