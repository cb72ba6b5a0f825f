// Matches a parsed ignore pattern with a path: backtracking over the stars, each (star, position) tried once, so that the
// cost is bounded by pattern times path whatever a repository's policy or a dot file says.

export type CharacterTest = (code: number) => boolean;

export type Token =
  | { readonly kind: 'char'; readonly code: number }
  | { readonly kind: 'separator' }
  | { readonly kind: 'any' }
  | { readonly kind: 'star'; readonly double: boolean }
  | { readonly kind: 'class'; readonly tests: readonly CharacterTest[]; readonly negated: boolean };

/** A path below the root, `/a/b`, as code points; made once and matched with many patterns. */
export type Path = readonly number[];

const SLASH = 0x2f;

/** Whether the pattern covers the path from its beginning to its end. HOT. */
export function matchesWholly(tokens: readonly Token[], path: Path): boolean {
  return new Matcher(tokens, path).run(0, 0) === MATCH;
}

const MATCH = 0;
const NO_MATCH = 1;
/** The path ended before the pattern did: a star that takes more of it cannot help. */
const PATH_ENDED = 2;
/** A single star ran over a slash: only a '**' further out may go on. */
const OVER_SLASH = 3;

class Matcher {
  readonly #tokens: readonly Token[];
  readonly #path: Path;
  #known: Map<number, number> | undefined;

  constructor(tokens: readonly Token[], path: Path) {
    this.#tokens = tokens;
    this.#path = path;
  }

  run(firstToken: number, start: number): number {
    const path = this.#path;
    let at = start;
    for (let i = firstToken; i < this.#tokens.length; i++, at++) {
      const token = this.#tokens[i] as Token;
      const code = path[at];
      if (token.kind === 'star') {
        const skipped = token.double ? -1 : this.#segmentEnd(i, at);
        if (skipped === -2) return NO_MATCH;
        if (skipped < 0) return this.#star(token.double, i, at);
        at = skipped - 1;
        continue;
      }
      if (code === undefined) return PATH_ENDED;
      if (!accepts(token, code)) return NO_MATCH;
    }
    return at === path.length ? MATCH : NO_MATCH;
  }

  /** For a single star in front of a slash: where the next slash is, -2 without one; -1 for any other star. */
  #segmentEnd(i: number, at: number): number {
    if (this.#tokens[i + 1]?.kind !== 'separator') return -1;
    const slash = this.#path.indexOf(SLASH, at);
    return slash < 0 ? -2 : slash;
  }

  #star(double: boolean, i: number, at: number): number {
    const key = i * (this.#path.length + 1) + at;
    const known = this.#known?.get(key);
    if (known !== undefined) return known;
    const answer = this.#tryStar(double, i, at);
    (this.#known ??= new Map()).set(key, answer);
    return answer;
  }

  #tryStar(double: boolean, i: number, start: number): number {
    const path = this.#path;
    const tokens = this.#tokens;
    if (i === tokens.length - 1) return double || path.indexOf(SLASH, start) < 0 ? MATCH : NO_MATCH;
    const mayVanish = double && i + 2 < tokens.length && tokens[i + 1]?.kind === 'separator';
    if (mayVanish && this.run(i + 2, start) === MATCH) return MATCH;
    for (let at = start; at < path.length; at++) {
      const answer = this.run(i + 1, at);
      if (answer === MATCH || answer === PATH_ENDED) return answer;
      if (double) continue;
      if (answer === OVER_SLASH) return answer;
      // The character just run over; at first, the one the star stands on.
      if (path[Math.max(start, at - 1)] === SLASH) return OVER_SLASH;
    }
    return PATH_ENDED;
  }
}

function accepts(token: Exclude<Token, { kind: 'star' }>, code: number): boolean {
  switch (token.kind) {
    case 'char':
      return token.code === code;
    case 'separator':
      return code === SLASH;
    case 'any':
      return code !== SLASH;
    case 'class':
      return token.tests.some((test) => test(code)) !== token.negated;
  }
}
