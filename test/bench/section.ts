// docs/performance.md is written by two benches: the one on local folders owns the whole but this section, which the one
// against a store owns. Each leaves the other's part as it is.
const BEGIN = '<!-- bench of object stores: begin -->';
const END = '<!-- bench of object stores: end -->';

/** The section in a report, with its marks; empty when there is none. */
export function storeSection(report: string): string {
  const [begin, end] = [report.indexOf(BEGIN), report.indexOf(END)];
  return begin >= 0 && end > begin ? report.slice(begin, end + END.length) : '';
}

export function withMarks(section: string): string {
  return `${BEGIN}\n\n${section.trim()}\n\n${END}`;
}

/** The report with this section in the place of its old one, or at the end when it had none. */
export function withStoreSection(report: string, section: string): string {
  const old = storeSection(report);
  const marked = withMarks(section);
  return old === '' ? `${report.trimEnd()}\n\n${marked}\n` : report.replace(old, () => marked);
}
