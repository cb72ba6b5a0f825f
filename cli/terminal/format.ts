// Numbers, sizes, times and tables for people.

const SIZE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

export function formatSize(sizeBytes: number | bigint): string {
  let value = Number(sizeBytes);
  let unit = 0;
  while (value >= 1024 && unit < SIZE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${SIZE_UNITS[unit]}`;
}

export function formatCount(count: number): string {
  return count.toString().replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** `1 file`, `1,200 files`; irregular plurals are given. */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

export function formatDuration(milliseconds: number): string {
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 2 : 1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h} h ${m} min` : `${m} min ${s} s`;
}

export function formatRate(sizeBytes: number, milliseconds: number): string {
  return milliseconds <= 0 ? '-' : `${formatSize((sizeBytes * 1000) / milliseconds)}/s`;
}

/** `2026-01-02T03:04:05.678Z` and the like, to the second, in UTC. */
export function formatTime(timestamp: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)/.exec(timestamp);
  return match === null ? timestamp : `${match[1]} ${match[2]} UTC`;
}

/** Columns padded to their widest cell; the last column is left as it is. `right` holds the numbers of right-aligned ones. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        if (right.includes(column)) return cell.padStart(width);
        return column === row.length - 1 ? cell : cell.padEnd(width);
      })
      .join('  '),
  );
}

const TYPE_LETTER: Readonly<Record<string, string>> = { d: 'd', s: 'l', f: '-' };

/** `drwxr-xr-t`, as `ls -l` writes it. */
export function formatMode(type: string, mode: number): string {
  const bits = ['r', 'w', 'x', 'r', 'w', 'x', 'r', 'w', 'x'].map((letter, i) =>
    (mode & (0o400 >> i)) === 0 ? '-' : letter,
  );
  const special = (bit: number, position: number, letter: string): void => {
    if ((mode & bit) !== 0) bits[position] = bits[position] === 'x' ? letter : letter.toUpperCase();
  };
  special(0o4000, 2, 's');
  special(0o2000, 5, 's');
  special(0o1000, 8, 't');
  return `${TYPE_LETTER[type] ?? '?'}${bits.join('')}`;
}
