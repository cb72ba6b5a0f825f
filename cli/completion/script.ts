// Writes completion scripts for bash, zsh and fish. The scripts hold the whole tree as text: completing runs no windlass.
import type { Command } from 'commander';
import { completionTree, type CompletionNode, type CompletionOption } from './command-tree.ts';

export type Shell = 'bash' | 'zsh' | 'fish';

export function completionScript(program: Command, shell: Shell): string {
  const nodes = completionTree(program);
  if (shell === 'bash') return bashScript(nodes);
  return shell === 'zsh' ? zshScript(nodes) : fishScript(nodes);
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const valueFlags = (node: CompletionNode): CompletionOption[] =>
  node.options.filter((option) => option.value !== undefined);

/** Options with a value, each once, for skipping their values while the sub-command is looked for. */
function allValueFlags(nodes: readonly CompletionNode[]): string[] {
  return [...new Set(nodes.flatMap((node) => valueFlags(node).flatMap((option) => option.flags)))];
}

function bashScript(nodes: readonly CompletionNode[]): string {
  const values = (node: CompletionNode): string =>
    valueFlags(node)
      .map(({ flags, value }) => {
        const words =
          value?.kind === 'words' ? `COMPREPLY=($(compgen -W ${quote(value.words.join(' '))} -- "$cur"))` : undefined;
        const reply = words ?? (value?.kind === 'file' ? 'COMPREPLY=($(compgen -f -- "$cur"))' : 'COMPREPLY=()');
        return `        ${flags.join('|')}) ${reply}; return ;;`;
      })
      .join('\n');
  const cases = nodes.map((node) => {
    const flags = node.options.flatMap((option) => option.flags);
    return `    ${quote(node.path)})
      case $prev in
${values(node)}
      esac
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W ${quote(flags.join(' '))} -- "$cur"))
      else
        COMPREPLY=($(compgen -W ${quote(node.words.map(({ word }) => word).join(' '))} ${node.files ? '-f ' : ''}-- "$cur"))
      fi
      ;;`;
  });
  const paths = nodes.map((node) => quote(node.path)).join('|');
  return `# bash completion for windlass. Put it into bash_completion.d, or: source <(windlass completion bash)
_windlass() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path='' next i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${allValueFlags(nodes).join('|')}) ((i++)); continue ;;
      -*) continue ;;
    esac
    next="\${path:+$path }\${COMP_WORDS[i]}"
    case $next in
      ${paths}) path=$next ;;
      *) break ;;
    esac
  done
  case $path in
${cases.join('\n')}
  esac
}
complete -o filenames -F _windlass windlass
`;
}

function zshScript(nodes: readonly CompletionNode[]): string {
  const pair = (word: string, description: string): string => quote(`${word.replaceAll(':', '\\:')}:${description}`);
  const cases = nodes.map((node) => {
    const values = valueFlags(node).map(({ flags, value }) => {
      const action =
        value?.kind === 'words'
          ? `compadd -- ${value.words.map(quote).join(' ')}`
          : value?.kind === 'file'
            ? '_files'
            : ':';
      return `        ${flags.join('|')}) ${action}; return ;;`;
    });
    const flags = node.options.flatMap((option) => option.flags.map((flag) => pair(flag, option.description)));
    const words = node.words.map(({ word, description }) => pair(word, description));
    return `    ${quote(node.path)})
      case $prev in
${values.join('\n')}
      esac
      if [[ $cur == -* ]]; then
        items=(${flags.join(' ')})
        _describe option items
        return
      fi
${words.length > 0 ? `      items=(${words.join(' ')})\n      _describe command items\n` : ''}${node.files ? '      _files\n' : ''}      ;;`;
  });
  return `#compdef windlass
# zsh completion for windlass. Put it as _windlass into a folder of $fpath, or: source <(windlass completion zsh)
_windlass() {
  local cur=\${words[CURRENT]} prev=\${words[CURRENT-1]} path_='' next i
  local -a items
  for ((i = 2; i < CURRENT; i++)); do
    case \${words[i]} in
      ${allValueFlags(nodes).join('|')}) ((i++)); continue ;;
      -*) continue ;;
    esac
    next="\${path_:+$path_ }\${words[i]}"
    case $next in
      ${nodes.map((node) => quote(node.path)).join('|')}) path_=$next ;;
      *) break ;;
    esac
  done
  case $path_ in
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _windlass ]]; then
  _windlass "$@"
else
  compdef _windlass windlass
fi
`;
}

function fishScript(nodes: readonly CompletionNode[]): string {
  const fishQuote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = nodes.flatMap((node) => {
    const at = `-n ${fishQuote(`__windlass_at ${fishQuote(node.path)}`)}`;
    const words = node.words.map(
      ({ word, description }) => `complete -c windlass ${at} -f -a ${word} -d ${fishQuote(description)}`,
    );
    const options = node.options.map(({ flags, description, value }) => {
      const names = flags
        .map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`))
        .join(' ');
      const kind =
        value === undefined
          ? ''
          : value.kind === 'words'
            ? ` -x -a ${fishQuote(value.words.join(' '))}`
            : value.kind === 'file'
              ? ' -r -F'
              : ' -x';
      return `complete -c windlass ${at} ${names} -d ${fishQuote(description)}${kind}`;
    });
    return [...words, ...options, ...(node.files ? [`complete -c windlass ${at} -F`] : [])];
  });
  return `# fish completion for windlass. Put it into ~/.config/fish/completions, or: windlass completion fish | source
function __windlass_path
  set -l found
  set -l skip 0
  for word in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
      continue
    end
    switch $word
      case ${allValueFlags(nodes).map(fishQuote).join(' ')}
        set skip 1
        continue
      case '-*'
        continue
    end
    set -l next (string join ' ' $found $word)
    switch $next
      case ${nodes
        .filter((node) => node.path !== '')
        .map((node) => fishQuote(node.path))
        .join(' ')}
        set -a found $word
      case '*'
        break
    end
  end
  string join ' ' -- $found
end
function __windlass_at
  set -l path (__windlass_path)
  test "$path" = "$argv[1]"
end
complete -c windlass -f
${lines.join('\n')}
`;
}
