// The command tree as completion scripts need it: per path of sub-commands, the words and options that may follow.
import type { Command, Option } from 'commander';

export interface CompletionOption {
  /** `-l` and `--long`, as many as there are. */
  readonly flags: readonly string[];
  readonly description: string;
  readonly value: CompletionValue | undefined;
}

export type CompletionValue =
  { readonly kind: 'file' } | { readonly kind: 'free' } | { readonly kind: 'words'; readonly words: readonly string[] };

export interface CompletionNode {
  /** Sub-commands from the program down, joined by spaces; empty for the program. */
  readonly path: string;
  readonly words: readonly { readonly word: string; readonly description: string }[];
  readonly options: readonly CompletionOption[];
  /** Whether arguments of this command may be local paths. */
  readonly files: boolean;
}

export function completionTree(program: Command): CompletionNode[] {
  const nodes: CompletionNode[] = [];
  const globals = program.options.filter((option) => option.long !== '--version').map(describeOption);
  const visit = (command: Command, path: readonly string[]): void => {
    const own = path.length === 0 ? [] : command.options.map(describeOption);
    const help: CompletionOption = { flags: ['-h', '--help'], description: 'show help', value: undefined };
    const choices = command.registeredArguments.flatMap((argument) => argument.argChoices ?? []);
    nodes.push({
      path: path.join(' '),
      words: [
        ...command.commands.map((sub) => ({ word: sub.name(), description: sub.description() })),
        ...choices.map((word) => ({ word, description: '' })),
      ],
      options: [...own, ...globals, help],
      files: command.registeredArguments.some((argument) => /path|target|source/.test(argument.name())),
    });
    for (const sub of command.commands) if (sub.name() !== 'help') visit(sub, [...path, sub.name()]);
  };
  visit(program, []);
  return [...nodes, ...helpNodes(program, ['help'])];
}

/** `help` is followed by the words of any command, and by nothing else. */
function helpNodes(command: Command, path: readonly string[]): CompletionNode[] {
  const words = command.commands.map((sub) => ({ word: sub.name(), description: sub.description() }));
  const below = command.commands
    .filter((sub) => sub.name() !== 'help')
    .flatMap((sub) => helpNodes(sub, [...path, sub.name()]));
  return [{ path: path.join(' '), words, options: [], files: false }, ...below];
}

function describeOption(option: Option): CompletionOption {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined);
  return { flags, description: option.description, value: optionValue(option) };
}

function optionValue(option: Option): CompletionValue | undefined {
  if (!option.required && !option.optional) return undefined;
  if (option.argChoices !== undefined) return { kind: 'words', words: option.argChoices };
  return { kind: /<(file|dir|url|source)>/.test(option.flags) ? 'file' : 'free' };
}
