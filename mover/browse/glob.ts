// Shell patterns over names and paths: `*` and `?` within a name, `[a-z]` and `[!a-z]`, `**` over any number of folders. Case matters and
// names that begin with a dot are like all others. Linear backtracking only: a hostile name cannot make it slow.

/** Tells whether an entry's path (`/`-separated, no leading slash) matches. */
export type PathMatcher = (path: string) => boolean;

export interface Glob {
  readonly matches: PathMatcher;
  /** True when only the last name of a path decides. */
  readonly byNameOnly: boolean;
}

/** Without a slash the pattern is for the last name of a path; with one it is for the whole path. */
export function parseGlob(pattern: string): Glob {
  const trimmed = pattern.replace(/^\/+/, '').replace(/\/+$/, '');
  if (!pattern.includes('/')) {
    const tokens = tokenize(trimmed);
    return { byNameOnly: true, matches: (path) => matchName(tokens, path.slice(path.lastIndexOf('/') + 1)) };
  }
  const segments = trimmed.split('/').map((segment) => (segment === '**' ? 'any-depth' : tokenize(segment)));
  return { byNameOnly: false, matches: (path) => matchSegments(segments, path.split('/')) };
}

type Token = '*' | ((char: string) => boolean);

function tokenize(pattern: string): Token[] {
  const chars = Array.from(pattern);
  const tokens: Token[] = [];
  for (let i = 0; i < chars.length; i++) {
    const char = chars[i] ?? '';
    if (char === '*') {
      if (tokens.at(-1) !== '*') tokens.push('*');
    } else if (char === '?') tokens.push(() => true);
    else if (char === '[' && chars.indexOf(']', i + 2) > 0) {
      const end = chars.indexOf(']', i + 2);
      tokens.push(characterClass(chars.slice(i + 1, end)));
      i = end;
    } else {
      const literal = char === '\\' && i + 1 < chars.length ? (chars[++i] ?? '') : char;
      tokens.push((candidate) => candidate === literal);
    }
  }
  return tokens;
}

function characterClass(body: readonly string[]): (char: string) => boolean {
  const negated = body[0] === '!' || body[0] === '^';
  const members = negated ? body.slice(1) : body;
  const ranges: [string, string][] = [];
  for (let i = 0; i < members.length; i++) {
    const low = members[i] ?? '';
    const isRange = members[i + 1] === '-' && i + 2 < members.length;
    ranges.push([low, isRange ? (members[i + 2] ?? low) : low]);
    if (isRange) i += 2;
  }
  return (char) => ranges.some(([low, high]) => low <= char && char <= high) !== negated;
}

function matchName(tokens: readonly Token[], name: string): boolean {
  const chars = Array.from(name);
  return matchWithStars(
    tokens.length,
    chars.length,
    (t) => tokens[t] === '*',
    (t, c) => {
      const token = tokens[t];
      return token !== '*' && token !== undefined && token(chars[c] ?? '');
    },
  );
}

function matchSegments(segments: readonly (readonly Token[] | 'any-depth')[], names: readonly string[]): boolean {
  return matchWithStars(
    segments.length,
    names.length,
    (s) => segments[s] === 'any-depth',
    (s, n) => {
      const segment = segments[s];
      return segment !== 'any-depth' && segment !== undefined && matchName(segment, names[n] ?? '');
    },
  );
}

/** Matches items one to one, but for stars, which take any number. Only the last star is ever taken back: the earlier ones need not change. */
function matchWithStars(
  patternLength: number,
  itemCount: number,
  isStar: (pattern: number) => boolean,
  matchOne: (pattern: number, item: number) => boolean,
): boolean {
  let [pattern, item, star, starItem] = [0, 0, -1, 0];
  while (item < itemCount) {
    if (pattern < patternLength && isStar(pattern)) [star, starItem] = [pattern++, item];
    else if (pattern < patternLength && matchOne(pattern, item)) [pattern, item] = [pattern + 1, item + 1];
    else if (star >= 0) [pattern, item] = [star + 1, ++starItem];
    else return false;
  }
  while (pattern < patternLength && isStar(pattern)) pattern++;
  return pattern === patternLength;
}
