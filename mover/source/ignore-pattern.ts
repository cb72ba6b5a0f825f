// One ignore pattern in Kopia's dialect of .gitignore (snapshots §5.8). Policies come from the repository and dot files from
// the tree that is backed up, so a pattern may be hostile: matching takes at most (pattern × path) steps.
//
// The dialect has edges that this file keeps on purpose, because a snapshot has to hold what Kopia's would hold:
//  - a path is matched with a leading '/', and a rule of a directory starts with the path of that directory;
//  - '**' spans directories at the start of a pattern or between slashes, elsewhere it is '*';
//  - '*' gives up after the first '/' it has run over, so `a*b` also matches `ax/b`; a class `[!x]` matches '/';
//  - a POSIX class is only seen in the first few characters of a pattern (`[[:digit:]]*` yes, `number-[[:digit:]]` no).

import { WindlassError } from '../../base/errors.ts';
import { type CharacterTest, type Path, type Token, matchesWholly } from './ignore-match.ts';

class IgnorePatternError extends WindlassError {
  static readonly code = 'IGNORE_PATTERN_INVALID';
  constructor(pattern: string, reason: string) {
    super(`ignore pattern ${JSON.stringify(pattern)}: ${reason}`, {
      code: IgnorePatternError.code,
      context: { pattern },
    });
    this.name = 'IgnorePatternError';
  }
}

const SLASH = 0x2f;
const BACKSLASH = 0x5c;
const STAR = 0x2a;
const BRACKET = 0x5b;
const BRACKET_END = 0x5d;
/** Matching recurses once a star; nobody needs this many. */
const MOST_STARS = 200;

export interface IgnorePattern {
  /** `!…`: brings back what an earlier rule took away. */
  readonly negated: boolean;
  /** Whether the entry is ignored after this rule, given that rules before it ask it (see {@link applyPatterns}). */
  matches(path: Path, isDirectory: boolean): boolean;
}

export function pathOf(text: string): Path {
  return Array.from(text, (char) => char.codePointAt(0) ?? 0);
}

/** The verdict of one list of rules on top of an earlier one. Later rules win. HOT. */
export function applyPatterns(
  patterns: readonly IgnorePattern[],
  path: Path,
  isDirectory: boolean,
  before: boolean,
): boolean {
  let ignored = before;
  for (const pattern of patterns) {
    // A rule can only turn the verdict its own way; the others need no look.
    if (pattern.negated === ignored) ignored = pattern.matches(path, isDirectory);
  }
  return ignored;
}

/**
 * Parses a pattern that was written in the directory `baseDirectory` ('' for the root, else `/a/b`).
 * Throws IGNORE_PATTERN_INVALID.
 */
export function parsePattern(source: string, baseDirectory: string): IgnorePattern {
  const trimmed = trimPattern(source);
  const scanner = new Scanner(trimmed);
  while (isSpace(scanner.peek(0))) scanner.read();
  const negated = scanner.peek(0) === 0x21;
  if (negated) scanner.read();

  const tokens = baseTokens(scanner, trimmed, baseDirectory);
  const directoryOnly = scanner.dropTrailingSlash();
  for (let code = scanner.read(); code !== 0; code = scanner.read()) tokens.push(parseToken(code, scanner, trimmed));
  if (tokens.filter((token) => token.kind === 'star').length > MOST_STARS) {
    throw new IgnorePatternError(trimmed.slice(0, 100), `more than ${MOST_STARS} stars`);
  }
  return {
    negated,
    matches: (path, isDirectory) => (directoryOnly && !isDirectory ? negated : matchesWholly(tokens, path) !== negated),
  };
}

/** White space at both ends goes, unless the last character is escaped. */
function trimPattern(source: string): string {
  const bytes = Buffer.from(source);
  if (bytes.length <= 2 || bytes[bytes.length - 2] === BACKSLASH) return source;
  return source.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, '');
}

function isSpace(code: number): boolean {
  return code !== 0 && /^\p{White_Space}$/u.test(String.fromCodePoint(code));
}

/** What stands in front of the pattern itself: its directory, and `**` when it may match at any depth. */
function baseTokens(scanner: Scanner, pattern: string, baseDirectory: string): Token[] {
  const tokens: Token[] = [];
  const rooted = scanner.peek(0) === SLASH;
  if (baseDirectory !== '' && pattern !== '') {
    for (const code of pathOf(baseDirectory))
      tokens.push(code === SLASH ? { kind: 'separator' } : { kind: 'char', code });
    if (!rooted) tokens.push({ kind: 'separator' });
  }
  if (rooted || pattern === '**' || pattern === '') return tokens;
  const slash = scanner.indexOf(SLASH);
  if (slash < 0 || slash === scanner.remaining - 1) {
    tokens.push({ kind: 'star', double: true }, { kind: 'separator' });
  } else if (baseDirectory === '') {
    tokens.push({ kind: 'separator' });
  }
  return tokens;
}

function parseToken(code: number, scanner: Scanner, pattern: string): Token {
  switch (code) {
    case BACKSLASH:
      if (scanner.remaining === 0) throw new IgnorePatternError(pattern, 'nothing follows the last backslash');
      return { kind: 'char', code: scanner.read() };
    case 0x3f:
      return { kind: 'any' };
    case SLASH:
      return { kind: 'separator' };
    case STAR:
      return { kind: 'star', double: readStars(scanner) };
    case BRACKET:
      return parseClass(scanner, pattern);
    default:
      return { kind: 'char', code };
  }
}

/** Reads the stars after the first one; true when they span directories. */
function readStars(scanner: Scanner): boolean {
  if (scanner.peek(0) !== STAR) return false;
  const before = scanner.peek(-2);
  while (scanner.peek(0) === STAR) scanner.read();
  return before === 0 || (before === SLASH && (scanner.peek(0) === SLASH || scanner.remaining === 0));
}

function parseClass(scanner: Scanner, pattern: string): Token {
  const tests: CharacterTest[] = [];
  let code = scanner.read();
  const negated = code === 0x21;
  if (negated) code = scanner.read();
  for (; code !== BRACKET_END && code !== 0; code = scanner.read()) {
    const from = code === BACKSLASH ? readEscaped(scanner, pattern) : code;
    tests.push(parseClassItem(from, scanner, pattern));
  }
  if (code !== BRACKET_END) throw new IgnorePatternError(pattern, "']' is missing");
  return { kind: 'class', tests, negated };
}

function readEscaped(scanner: Scanner, pattern: string): number {
  const code = scanner.read();
  if (code === 0) throw new IgnorePatternError(pattern, 'nothing follows the last backslash');
  return code;
}

function parseClassItem(from: number, scanner: Scanner, pattern: string): CharacterTest {
  const next = scanner.peek(1);
  if (scanner.peek(0) === 0x2d && next !== BRACKET_END && next !== 0) {
    scanner.read();
    const end = scanner.read();
    const to = end === BACKSLASH ? readEscaped(scanner, pattern) : end;
    return (code) => code >= from && code <= to;
  }
  if (from === BRACKET && scanner.peek(0) === 0x3a) {
    const close = scanner.indexOf(BRACKET_END);
    if (close < 0) throw new IgnorePatternError(pattern, "']' is missing");
    // The distance is compared with a position, as Kopia does: classes far into a pattern are taken literally.
    if (close - 1 > scanner.position && scanner.peek(close - 1) === 0x3a)
      return namedClass(scanner.readClass(close), pattern);
  }
  return (code) => code === from;
}

const CLASSES: Readonly<Record<string, RegExp>> = {
  alnum: /^[\p{L}\p{Nd}]$/u,
  alpha: /^\p{L}$/u,
  ascii: /^\p{ASCII}$/u,
  blank: /^[\p{Zs}\t]$/u,
  cntrl: /^\p{Cc}$/u,
  digit: /^\p{Nd}$/u,
  graph: /^[\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}]$/u,
  lower: /^\p{Ll}$/u,
  print: /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u,
  punct: /^[\p{P}\p{S}]$/u,
  space: /^\p{White_Space}$/u,
  upper: /^\p{Lu}$/u,
  xdigit: /^[A-Fa-f\p{Nd}]$/u,
};

function namedClass(name: string, pattern: string): CharacterTest {
  const expression = Object.hasOwn(CLASSES, name) ? CLASSES[name] : undefined;
  if (expression === undefined) throw new IgnorePatternError(pattern, `[:${name}:] is no character class`);
  return (code) => expression.test(String.fromCodePoint(code));
}

/** Reads code points; 0 stands for "nothing there". */
class Scanner {
  #text: Path;
  position = 0;

  constructor(text: string) {
    this.#text = pathOf(text);
  }

  get remaining(): number {
    return this.#text.length - this.position;
  }

  peek(distance: number): number {
    return this.#text[this.position + distance] ?? 0;
  }

  read(): number {
    const code = this.peek(0);
    if (code !== 0) this.position++;
    return code;
  }

  indexOf(code: number): number {
    const at = this.#text.indexOf(code, this.position);
    return at < 0 ? -1 : at - this.position;
  }

  dropTrailingSlash(): boolean {
    if (this.#text.at(-1) !== SLASH) return false;
    this.#text = this.#text.slice(0, -1);
    return true;
  }

  /** The name in `:name:]`, `close` being the distance of the bracket. */
  readClass(close: number): string {
    const name = String.fromCodePoint(...this.#text.slice(this.position + 1, this.position + close - 1));
    this.position += close + 1;
    return name.toLowerCase();
  }
}
