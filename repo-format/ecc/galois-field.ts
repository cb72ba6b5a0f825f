// GF(2^8) with the polynomial x^8 + x^4 + x^3 + x^2 + 1 and generator 2, and interpolation over it. A Reed–Solomon block is
// a polynomial known by its values: shard x holds the values at point x. So parity shards are values at points beyond the
// data, and a lost shard is the value at its point, computed from any D points that survived.

const POLYNOMIAL = 0x11d;
/** The multiplicative group's size: logarithms add modulo this. */
const ORDER = 255;

const { exp, log } = createTables();

function createTables(): { exp: Uint8Array; log: Uint8Array } {
  const expTable = new Uint8Array(2 * ORDER); // twice round, so that a sum of two logarithms needs no reduction
  const logTable = new Uint8Array(256);
  for (let power = 0, value = 1; power < ORDER; power++) {
    expTable[power] = value;
    expTable[power + ORDER] = value;
    logTable[value] = power;
    value <<= 1;
    if (value > 255) value ^= POLYNOMIAL;
  }
  return { exp: expTable, log: logTable };
}

export function multiply(a: number, b: number): number {
  if (a === 0 || b === 0) return 0;
  return exp[(log[a] as number) + (log[b] as number)] as number;
}

let products: Uint8Array | undefined;

/** The products of `factor` with every byte. A view on a table of all products (64 KiB), made when first needed. */
export function productTable(factor: number): Uint8Array {
  if (products === undefined) {
    products = new Uint8Array(256 * 256);
    for (let a = 0; a < 256; a++) for (let b = 0; b < 256; b++) products[a * 256 + b] = multiply(a, b);
  }
  return products.subarray(factor * 256, factor * 256 + 256);
}

/**
 * Interpolates from values known at the distinct `points`: for each of `targets` (none of them among the points), the
 * factors by which to multiply the known values so that their sum is the value there.
 */
export function interpolationFactors(points: readonly number[], targets: readonly number[]): Uint8Array[] {
  // Lagrange: factor(s, x) = product over t ≠ s of (x − t) / (s − t). Differences are xor; products are sums of logarithms.
  const weights = points.map((point) => {
    let sum = 0;
    for (const other of points) if (other !== point) sum += log[point ^ other] as number;
    return sum % ORDER;
  });
  return targets.map((target) => {
    let all = 0;
    for (const point of points) all += log[target ^ point] as number;
    return Uint8Array.from(points, (point, i) => {
      const exponent = all - (log[target ^ point] as number) - (weights[i] as number);
      return exp[((exponent % ORDER) + ORDER) % ORDER] as number;
    });
  });
}
