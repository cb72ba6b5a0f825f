// The command lines of the controller and of its maintenance Jobs: Velero's flags under their names, and our own beside them.
import { type Command, InvalidArgumentError } from 'commander';
import { duration, levelOf, logLevelOption, programCommand, type ProgramFlags } from '../../program/flags.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface CommonFlags extends ProgramFlags {
  readonly namespace: string;
  readonly cacheFolder: string;
  readonly scratchFolder: string;
  /** Whether a namespace may have a Secret of its own with its repository's password. */
  readonly perNamespacePasswords: boolean;
}

export interface ControllerFlags extends CommonFlags {
  /** The Deployment whose pods this is: Jobs are made like them. */
  readonly deployment: string;
  /** The Deployment of the Velero server, which must not keep repositories too. */
  readonly serverDeployment: string;
  readonly lease: string;
  /** Of this process, unlike any other's. */
  readonly identity: string;
  readonly metricsAddress: string;
  readonly maintenanceFrequencyMs: number;
  readonly maintenanceTimeoutMs: number;
  readonly maxMaintenanceJobs: number;
  readonly keptMaintenanceJobs: number;
  /** How long both passwords must have been in their Secret before repositories get the new one. */
  readonly rekeyAfterMs: number;
  readonly maintenanceJobConfigMap: string | undefined;
  readonly repositoryConfigMap: string | undefined;
}

export interface MaintenanceFlags extends CommonFlags {
  readonly volumeNamespace: string;
  readonly repositoryType: string;
  readonly location: string;
}

const UNUSED = 'taken for compatibility; nothing here depends on it';
const HOUR_MS = 3600_000;

/** Throws `CommandLineEnd` for a wrong line and for `--help`, after it has printed what there is to say. */
export function parseControllerFlags(argv: readonly string[], environment: Environment): ControllerFlags {
  const program = withCommonOptions(programCommand('windlass-controller'), environment)
    .description('Keeps the BackupRepositories of Velero: makes them, checks them, has them maintained.')
    .option(
      '--deployment <name>',
      'Deployment of this controller: maintenance Jobs are made like its pods',
      'windlass-controller',
    )
    .option('--server-deployment <name>', 'Deployment of the Velero server', 'velero')
    .option('--lease <name>', 'Lease of the one controller that works', 'windlass-controller')
    .option('--metrics-address <address>', '/metrics, /healthz and /readyz', ':8085')
    .option('--default-repo-maintain-frequency <duration>', 'how often repositories are maintained', duration, HOUR_MS)
    .option('--maintenance-timeout <duration>', 'after which a maintenance Job is ended', duration, 6 * HOUR_MS)
    .option('--max-maintenance-jobs <count>', 'maintenance Jobs at a time', count, 3)
    .option('--keep-latest-maintenance-jobs <count>', 'finished Jobs that are kept of a repository', count, 3)
    .option('--rekey-after <duration>', 'from a change of the password until repositories get it', duration, 60_000)
    .option('--repo-maintenance-job-configmap <name>', 'ConfigMap with the configuration of maintenance Jobs')
    .option('--backup-repository-configmap <name>', 'ConfigMap with the configuration of repositories');
  program.parse([...argv], { from: 'user' });
  const given: CommonGiven & GivenToController = program.opts();
  return {
    ...commonFlags(given),
    deployment: given.deployment,
    serverDeployment: given.serverDeployment,
    lease: given.lease,
    identity: environment['POD_NAME'] ?? environment['HOSTNAME'] ?? String(process.pid),
    metricsAddress: given.metricsAddress,
    maintenanceFrequencyMs: given.defaultRepoMaintainFrequency,
    maintenanceTimeoutMs: given.maintenanceTimeout,
    maxMaintenanceJobs: given.maxMaintenanceJobs,
    keptMaintenanceJobs: given.keepLatestMaintenanceJobs,
    rekeyAfterMs: given.rekeyAfter,
    maintenanceJobConfigMap: given.repoMaintenanceJobConfigmap,
    repositoryConfigMap: given.backupRepositoryConfigmap,
  };
}

export function parseMaintenanceFlags(argv: readonly string[], environment: Environment): MaintenanceFlags {
  const program = withCommonOptions(programCommand('windlass-repo-maintenance'), environment)
    .description('Maintains one repository: what a maintenance Job runs.')
    .requiredOption('--repo-name <namespace>', 'namespace whose volumes the repository holds')
    .requiredOption('--backup-storage-location <name>', 'BackupStorageLocation')
    .option('--repo-type <type>', 'type of the repository', 'kopia');
  program.parse([...argv], { from: 'user' });
  const given: CommonGiven & GivenToMaintenance = program.opts();
  return {
    ...commonFlags(given),
    volumeNamespace: given.repoName,
    repositoryType: given.repoType,
    location: given.backupStorageLocation,
  };
}

function withCommonOptions(program: Command, environment: Environment): Command {
  return program
    .argument('[command...]', 'ignored: what an image with another entry point wants to be told')
    .option('--namespace <name>', 'namespace of Velero', environment['VELERO_NAMESPACE'] ?? 'velero')
    .addOption(logLevelOption('--log-level <level>'))
    .option('--log-format <format>', UNUSED)
    .option('--cache-folder <path>', 'caches of repositories', '/scratch/cache')
    .option('--scratch-folder <path>', 'temporary files', '/scratch')
    .option('--per-namespace-repository-passwords', 'where no Velero server opens the repositories', false)
    .option('--kubeconfig <path>', 'outside of a cluster')
    .helpOption('-h, --help');
}

function commonFlags(given: CommonGiven): CommonFlags {
  const { namespace, logLevel, cacheFolder, scratchFolder, perNamespaceRepositoryPasswords, kubeconfig } = given;
  return {
    namespace,
    logLevel: levelOf(logLevel),
    cacheFolder,
    scratchFolder,
    perNamespacePasswords: perNamespaceRepositoryPasswords,
    kubeconfig,
  };
}

interface CommonGiven {
  readonly namespace: string;
  readonly logLevel: string;
  readonly cacheFolder: string;
  readonly scratchFolder: string;
  readonly perNamespaceRepositoryPasswords: boolean;
  readonly kubeconfig?: string;
}

interface GivenToController {
  readonly deployment: string;
  readonly serverDeployment: string;
  readonly lease: string;
  readonly metricsAddress: string;
  readonly defaultRepoMaintainFrequency: number;
  readonly maintenanceTimeout: number;
  readonly maxMaintenanceJobs: number;
  readonly keepLatestMaintenanceJobs: number;
  readonly rekeyAfter: number;
  readonly repoMaintenanceJobConfigmap?: string;
  readonly backupRepositoryConfigmap?: string;
}

interface GivenToMaintenance {
  readonly repoName: string;
  readonly repoType: string;
  readonly backupStorageLocation: string;
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError(`not a number from 1 on: ${text}`);
  return value;
}
