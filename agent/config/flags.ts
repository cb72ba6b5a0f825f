// The agent's command line: Velero's flags of `node-agent server` under their names, and our own beside them.
import { InvalidArgumentError, Option } from 'commander';
import { parseGoDurationMs } from '../../base/go-duration.ts';
import { duration, levelOf, logLevelOption, programCommand, type ProgramFlags } from '../../program/flags.ts';
import { takeFlagsWithoutEffect } from './velero-flags.ts';

export interface AgentFlags extends ProgramFlags {
  readonly namespace: string;
  readonly nodeName: string;
  /** How long a repository may take to be ready. */
  readonly resourceTimeoutMs: number;
  /** From Accepted to Prepared. */
  readonly prepareTimeoutMs: number;
  /** How long a volume is tried again after failures that may pass. */
  readonly operationTimeoutMs: number;
  /** A data mover without progress is ended after so long; 0: never. */
  readonly stallTimeoutMs: number;
  /** `:8085`: metrics, health and readiness. */
  readonly metricsAddress: string;
  readonly nodeAgentConfigMap: string | undefined;
  readonly hostPods: string;
  readonly cacheFolder: string;
  readonly scratchFolder: string;
  readonly credentialsFolder: string;
  readonly unreadableFiles: 'report' | 'fail';
  readonly restoreNotEmpty: 'overwrite' | 'keep' | 'fail';
  /** After how long the init container of a restored pod is to give up; undefined: its own day. */
  readonly restoreHelperDeadlineSeconds: number | undefined;
  readonly memoryLimitBytes: number;
  /** Whether a namespace may have a Secret of its own with its repository's password. */
  readonly perNamespacePasswords: boolean;
  /** Flags of Velero that were given and mean nothing here. */
  readonly withoutEffect: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

const MIB = 1 << 20;
/** What a data mover stays below without a budget of its own. */
const DEFAULT_MEMORY_BYTES = 256 * MIB;
const MIN_STALL_MS = 60_000;
const MAX_HELPER_DEADLINE_SECONDS = 20 * 24 * 3600;

/** Throws `CommandLineEnd` for a wrong line and for `--help`, after it has printed what there is to say. */
export function parseFlags(argv: readonly string[], environment: Environment): AgentFlags {
  const program = programCommand('windlass-agent')
    .description('Backs up and restores pod volumes on one node, in the place of the node agent of Velero.')
    .argument('[command...]', 'ignored: `node-agent server` of an unchanged DaemonSet')
    .option('-n, --namespace <name>', 'namespace of Velero', environment['VELERO_NAMESPACE'] ?? 'velero')
    .option('--node-name <name>', 'name of this node (NODE_NAME)', environment['NODE_NAME'])
    .addOption(logLevelOption('--log-level <level>'))
    .option('--resource-timeout <duration>', 'how long a repository may take to be ready', duration, 10 * 60_000)
    .option('--data-mover-prepare-timeout <duration>', 'how long a volume may take to be found', duration, 30 * 60_000)
    .option('--operation-timeout <duration>', 'how long failures that may pass are tried again', duration, 4 * 3600_000)
    .option('--data-mover-stall-timeout <duration>', 'when one without progress is ended', stallTimeout, 3600_000)
    .option('--metrics-address <address>', 'metrics, /healthz and /readyz', ':8085')
    .option('--node-agent-configmap <name>', 'ConfigMap with the configuration of node agents')
    .option('--host-pods <path>', "where the kubelet's pods are mounted", '/host_pods')
    .option('--cache-folder <path>', 'caches of repositories', '/scratch/cache')
    .option('--scratch-folder <path>', 'temporary files', '/scratch')
    .option('--credentials-folder <path>', 'mounted credentials that may change', '/credentials')
    .addOption(
      new Option('--unreadable-files <rule>', 'files that cannot be read')
        .choices(['report', 'fail'])
        .default('report'),
    )
    .addOption(
      new Option('--restore-not-empty <rule>', 'volumes to restore that have something in them')
        .choices(['overwrite', 'keep', 'fail'])
        .default('overwrite'),
    )
    .option(
      '--restore-helper-deadline <duration>',
      'when the init container of a restored pod gives up',
      helperDeadline,
    )
    .option('--memory-limit <MiB>', 'what one data mover stays below', mebibytes, DEFAULT_MEMORY_BYTES)
    .option('--per-namespace-repository-passwords', 'where no Velero server opens the repositories', false)
    .option('--kubeconfig <path>', 'outside of a cluster')
    .option('--kubecontext <name>', 'context of the kubeconfig')
    .helpOption('-h, --help');
  const withoutEffect = takeFlagsWithoutEffect(program);
  program.parse([...argv], { from: 'user' });
  const given: GivenFlags = program.opts();
  if (given.nodeName === undefined || given.nodeName === '')
    program.error('error: the name of this node is missing: set NODE_NAME or --node-name');
  return {
    namespace: given.namespace,
    nodeName: given.nodeName ?? '',
    logLevel: levelOf(given.logLevel),
    resourceTimeoutMs: given.resourceTimeout,
    prepareTimeoutMs: given.dataMoverPrepareTimeout,
    operationTimeoutMs: given.operationTimeout,
    stallTimeoutMs: given.dataMoverStallTimeout,
    metricsAddress: given.metricsAddress,
    nodeAgentConfigMap: given.nodeAgentConfigmap,
    hostPods: given.hostPods,
    cacheFolder: given.cacheFolder,
    scratchFolder: given.scratchFolder,
    credentialsFolder: given.credentialsFolder,
    unreadableFiles: given.unreadableFiles,
    restoreNotEmpty: given.restoreNotEmpty,
    restoreHelperDeadlineSeconds: given.restoreHelperDeadline,
    memoryLimitBytes: given.memoryLimit,
    perNamespacePasswords: given.perNamespaceRepositoryPasswords,
    kubeconfig: given.kubeconfig,
    kubecontext: given.kubecontext,
    withoutEffect: withoutEffect(),
  };
}

interface GivenFlags {
  readonly namespace: string;
  readonly nodeName?: string;
  readonly logLevel: string;
  readonly resourceTimeout: number;
  readonly dataMoverPrepareTimeout: number;
  readonly operationTimeout: number;
  readonly dataMoverStallTimeout: number;
  readonly metricsAddress: string;
  readonly nodeAgentConfigmap?: string;
  readonly hostPods: string;
  readonly cacheFolder: string;
  readonly scratchFolder: string;
  readonly credentialsFolder: string;
  readonly unreadableFiles: 'report' | 'fail';
  readonly restoreNotEmpty: 'overwrite' | 'keep' | 'fail';
  readonly restoreHelperDeadline?: number;
  readonly memoryLimit: number;
  readonly perNamespaceRepositoryPasswords: boolean;
  readonly kubeconfig?: string;
  readonly kubecontext?: string;
}

/** Signs of life come every ten seconds: less than a minute says nothing. */
function stallTimeout(text: string): number {
  if (parseGoDurationMs(text) === 0) return 0;
  const ms = duration(text);
  if (ms < MIN_STALL_MS) throw new InvalidArgumentError(`neither 0 nor a duration of a minute or more: ${text}`);
  return ms;
}

/** In seconds, within what the init container takes for a deadline (restore-helper/marker-text.ts). */
function helperDeadline(text: string): number {
  const seconds = duration(text) / 1000;
  if (!Number.isInteger(seconds) || seconds > MAX_HELPER_DEADLINE_SECONDS) {
    throw new InvalidArgumentError(`not a duration of whole seconds up to 480h: ${text}`);
  }
  return seconds;
}

function mebibytes(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 64 || count > 1 << 20) {
    throw new InvalidArgumentError(`not a number of MiB from 64 on: ${text}`);
  }
  return count * MIB;
}
