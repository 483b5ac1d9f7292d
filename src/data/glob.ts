/** File name patterns: `*` and `?` within a name, `**` across folders, `{a,b}` alternatives. */

/** Longest pattern that is taken for one; a path on Linux has at most 4,096 bytes. */
const MAX_PATTERN = 4096;
/** `{a,b}` multiplies: at most this many alternatives come out of one pattern. */
const MAX_ALTERNATIVES = 256;

export function isGlob(text: string): boolean {
  return text.length <= MAX_PATTERN && /[*?]|\{[^{}]*,[^{}]*\}/.test(text);
}

/** `a{b,c}d` as abd, acd; braces without a comma are ordinary characters. */
export function expandBraces(pattern: string): string[] {
  const done: string[] = [];
  const open = [pattern];
  for (let next = open.shift(); next !== undefined; next = open.shift()) {
    const group = /\{([^{}]*,[^{}]*)\}/.exec(next);
    if (group === null || open.length + done.length >= MAX_ALTERNATIVES) {
      done.push(next);
      continue;
    }
    const [before, after] = [next.slice(0, group.index), next.slice(group.index + group[0].length)];
    open.push(...group[1]!.split(",").map((choice) => before + choice + after));
  }
  return [...new Set(done)];
}

/**
 * Whether a name between two slashes fits a pattern with `*` and `?`. Names that begin with "." only fit patterns that do.
 * Two pointers and one place to return to: time is names x pattern at worst, where a regular expression can explode.
 */
export function matchesName(name: string, pattern: string): boolean {
  if (name.startsWith(".") && !pattern.startsWith(".")) return false;
  let [n, p, star, resume] = [0, 0, -1, 0];
  while (n < name.length) {
    if (pattern[p] === "*") {
      star = p++;
      resume = n;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === name[n])) {
      n++;
      p++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
