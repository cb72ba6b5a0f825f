// Flags that Velero's node agent takes and that mean nothing here. They are taken all the same, so that the command line of a
// DaemonSet that somebody has edited may stay; what was meant by them is not done, and that is said once.
import { type Command, Option } from 'commander';

/** As they are written; with a value unless they end in `?`, as those that may stand alone do. */
export const FLAGS_WITHOUT_EFFECT: readonly string[] = [
  // Of the node agent.
  '--log-format',
  '--features',
  '--backup-repository-configmap',
  // Of all of Velero's programs, the colours of a terminal.
  '--colorized?',
  // Of its server and of other versions: their limits for a Kubernetes client, which we do not need, and a profiler.
  '--client-qps',
  '--client-burst',
  '--client-page-size',
  '--profiler-address',
  // Of the log library of Kubernetes (klog).
  '--v',
  '--vmodule',
  '--add_dir_header?',
  '--alsologtostderr?',
  '--alsologtostderrthreshold',
  '--legacy_stderr_threshold_behavior?',
  '--log_backtrace_at',
  '--log_dir',
  '--log_file',
  '--log_file_max_size',
  '--logtostderr?',
  '--one_output?',
  '--skip_headers?',
  '--skip_log_headers?',
  '--stderrthreshold',
];

/** What they ask for is so anyway. */
const SAME: ReadonlySet<string> = new Set(['--log-format=json', '--features=', '--logtostderr=true']);
const SHORT: Readonly<Record<string, string>> = { '--v': '-v, ' };

/** Answers what is to be asked after parsing: which of them were given, but for what is so anyway. */
export function takeFlagsWithoutEffect(program: Command): () => readonly string[] {
  const options = FLAGS_WITHOUT_EFFECT.map((flag) => {
    const name = flag.replace('?', '');
    const value = flag.endsWith('?') ? '[value]' : '<value>';
    const option = new Option(`${SHORT[name] ?? ''}${name} ${value}`).hideHelp();
    program.addOption(option);
    return { name, attribute: option.attributeName() };
  });
  return () =>
    options
      .filter(({ name, attribute }) => {
        // `true` of one that stands alone.
        const value = program.getOptionValue(attribute) as string | true | undefined;
        return value !== undefined && !SAME.has(`${name}=${value}`);
      })
      .map(({ name }) => name);
}
