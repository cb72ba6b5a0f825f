// docs/performance.md is written by several benches: the one on local folders owns the whole but the sections between marks, each of
// which another bench owns. Each leaves the others' parts as they are.

/** Whose section: of the bench against object stores, of the one in a cluster. */
export type SectionName = 'object stores' | 'node agents';

/** The section in a report, with its marks; empty when there is none. */
export function sectionOf(report: string, name: SectionName): string {
  const { begin, end } = marks(name);
  const [from, to] = [report.indexOf(begin), report.indexOf(end)];
  return from >= 0 && to > from ? report.slice(from, to + end.length) : '';
}

export function withMarks(section: string, name: SectionName): string {
  const { begin, end } = marks(name);
  return `${begin}\n\n${section.trim()}\n\n${end}`;
}

/** The report with this section in the place of its old one, or at the end when it had none. */
export function withSection(report: string, name: SectionName, section: string): string {
  const old = sectionOf(report, name);
  const marked = withMarks(section, name);
  return old === '' ? `${report.trimEnd()}\n\n${marked}\n` : report.replace(old, () => marked);
}

function marks(name: SectionName): { readonly begin: string; readonly end: string } {
  return { begin: `<!-- bench of ${name}: begin -->`, end: `<!-- bench of ${name}: end -->` };
}
