// Puts owner, extended attributes, times and mode on what was restored, in an order in which none undoes another (design
// note 0004), and says which did not take. What cannot be set is never an error here: it is a line in the receipt.
import {
  ENODATA,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
  StatRecord,
  fchmod,
  fchmodat,
  fchown,
  fchownat,
  fremovexattr,
  fsetxattr,
  fstat,
  futimens,
  removexattrAt,
  setxattrAt,
  statAt,
  utimensat,
} from '../posix/libc.ts';

/** Which attributes are wanted, and who we are. Structured-cloneable. */
export interface AttributePolicy {
  readonly owners: boolean;
  readonly modes: boolean;
  readonly times: boolean;
  readonly xattrs: boolean;
  readonly euid: number;
  readonly egid: number;
  readonly umask: number;
}

/** What an entry should have. Mutable so that one record serves a whole lane. */
export interface WantedAttributes {
  mode: number;
  uid: number;
  gid: number;
  mtimeSeconds: number;
  mtimeNanoseconds: number;
  /** As {@link encodeXattrs} makes them. */
  xattrs: Uint8Array | undefined;
  /** A new entry of its directory belongs to our own group, so that nothing needs to be set when that is wanted. */
  ownGroup: boolean;
  /** Remove the ACL that the directory handed down. */
  inheritsAcl: boolean;
}

/** `attribute` is owner, group, mode, times or `xattr <name>`. */
export type ReportAttribute = (attribute: string, errno: number) => void;

const SETUID = 0o4000;
const SETGID = 0o2000;
/** What chown(2) takes for "leave it". */
const UNCHANGED = 0xffff_ffff;

const ACL_ACCESS = Buffer.from('system.posix_acl_access');
const ACL_DEFAULT = Buffer.from('system.posix_acl_default');

/** The calls on one entry: by its descriptor, or by its name where opening it is not possible (links, FIFOs, devices). */
interface Target {
  chown(uid: number, gid: number): number;
  chmod(mode: number): number;
  setTimes(seconds: number, nanoseconds: number): number;
  setXattr(name: Uint8Array, value: Uint8Array): number;
  removeXattr(name: Uint8Array): number;
  stat(out: StatRecord): number;
}

/** Applies attributes; one per thread, for it remembers what the file system can hold. */
export class AttributeWriter {
  readonly #policy: AttributePolicy;
  readonly #stat = new StatRecord();
  readonly #file: FileTarget = new FileTarget();
  readonly #entry: EntryTarget = new EntryTarget();
  /** Until a time with nanoseconds came back whole, every time set is read back. */
  #timesAreExact = false;

  constructor(policy: AttributePolicy) {
    this.#policy = policy;
  }

  /** A regular file or directory by descriptor. The mode comes last: it marks a file as complete. */
  applyToFile(fd: number, wanted: WantedAttributes, isDirectory: boolean, report: ReportAttribute): void {
    this.#file.fd = fd;
    const target = this.#file;
    const owned = this.#applyOwner(target, wanted, report);
    this.#applyXattrs(target, wanted, isDirectory, report);
    if (isDirectory) this.#applyMode(target, this.#modeFor(wanted, 0o777, owned, report), report);
    this.#applyTimes(target, wanted, report);
    if (!isDirectory) this.#applyMode(target, this.#modeFor(wanted, 0o666, owned, report), report);
  }

  /** A symlink: it has no mode of its own. */
  applyToLink(dirFd: number, name: Uint8Array, wanted: WantedAttributes, report: ReportAttribute): void {
    const target = this.#named(dirFd, name);
    this.#applyOwner(target, wanted, report);
    this.#applyXattrs(target, wanted, false, report);
    this.#applyTimes(target, wanted, report);
  }

  /** A FIFO, socket or device. */
  applyToSpecial(dirFd: number, name: Uint8Array, wanted: WantedAttributes, report: ReportAttribute): void {
    const target = this.#named(dirFd, name);
    const owned = this.#applyOwner(target, wanted, report);
    this.#applyMode(target, this.#modeFor(wanted, 0o666, owned, report), report);
    this.#applyXattrs(target, wanted, false, report);
    this.#applyTimes(target, wanted, report);
  }

  #named(dirFd: number, name: Uint8Array): EntryTarget {
    this.#entry.dirFd = dirFd;
    this.#entry.name = name;
    return this.#entry;
  }

  /** Bits say whose privileges the entry may carry: SETUID when the owner is right, SETGID when the group is. */
  #applyOwner(target: Target, wanted: WantedAttributes, report: ReportAttribute): number {
    const { uid, gid } = wanted;
    const { euid, egid, owners } = this.#policy;
    const asCreated = (uid === euid ? SETUID : 0) | (gid === egid && wanted.ownGroup ? SETGID : 0);
    if (!owners || asCreated === (SETUID | SETGID)) return asCreated;
    const answer = target.chown(uid, gid);
    if (answer >= 0) return SETUID | SETGID;
    if (uid !== euid) report('owner', -answer);
    // Without privileges the group can still become any of ours.
    const group = target.chown(UNCHANGED, gid);
    if (group < 0) report('group', -group);
    return (uid === euid ? SETUID : 0) | (group >= 0 ? SETGID : 0);
  }

  /** What may be set of the wanted mode: never another identity's privileges. */
  #modeFor(wanted: WantedAttributes, plain: number, owned: number, report: ReportAttribute): number {
    if (!this.#policy.modes) return plain & ~this.#policy.umask;
    const refused = wanted.mode & (SETUID | SETGID) & ~owned;
    if (refused !== 0) report('mode', EPERM);
    return wanted.mode & ~refused;
  }

  #applyMode(target: Target, mode: number, report: ReportAttribute): void {
    const answer = target.chmod(mode);
    if (answer < 0) {
      report('mode', -answer);
      return;
    }
    // The kernel drops setgid without a word when the group is not one of the caller's.
    if ((mode & SETGID) === 0 || target.stat(this.#stat) < 0) return;
    if ((this.#stat.mode & SETGID) === 0) report('mode', EPERM);
  }

  #applyXattrs(target: Target, wanted: WantedAttributes, isDirectory: boolean, report: ReportAttribute): void {
    if (wanted.inheritsAcl) {
      this.#removeAcl(target, ACL_ACCESS, report);
      if (isDirectory) this.#removeAcl(target, ACL_DEFAULT, report);
    }
    if (!this.#policy.xattrs || wanted.xattrs === undefined) return;
    for (const { name, value } of decodeXattrs(wanted.xattrs)) {
      const answer = target.setXattr(name, value);
      if (answer < 0) report(`xattr ${Buffer.from(name).toString('utf8')}`, -answer);
    }
  }

  #removeAcl(target: Target, name: Uint8Array, report: ReportAttribute): void {
    const answer = target.removeXattr(name);
    if (answer < 0 && answer !== -ENODATA && answer !== -EOPNOTSUPP) report(`xattr ${String(name)}`, -answer);
  }

  #applyTimes(target: Target, wanted: WantedAttributes, report: ReportAttribute): void {
    if (!this.#policy.times) return;
    const { mtimeSeconds, mtimeNanoseconds } = wanted;
    const answer = target.setTimes(mtimeSeconds, mtimeNanoseconds);
    if (answer < 0) {
      report('times', -answer);
      return;
    }
    // File systems clamp and round without a word. 2^31 seconds are the least that all of them hold.
    const isUnusual = mtimeSeconds < 0 || mtimeSeconds >= 2 ** 31;
    if (this.#timesAreExact && !isUnusual) return;
    if (target.stat(this.#stat) < 0) return;
    const took = this.#stat.mtimeSeconds === mtimeSeconds && this.#stat.mtimeNanoseconds === mtimeNanoseconds;
    if (!took) report('times', ERANGE);
    else if (mtimeNanoseconds % 1000 !== 0) this.#timesAreExact = true;
  }
}

class FileTarget implements Target {
  fd = -1;
  chown = (uid: number, gid: number): number => fchown(this.fd, uid, gid);
  chmod = (mode: number): number => fchmod(this.fd, mode);
  setTimes = (seconds: number, nanoseconds: number): number => futimens(this.fd, seconds, nanoseconds);
  setXattr = (name: Uint8Array, value: Uint8Array): number => fsetxattr(this.fd, name, value);
  removeXattr = (name: Uint8Array): number => fremovexattr(this.fd, name);
  stat = (out: StatRecord): number => fstat(this.fd, out);
}

class EntryTarget implements Target {
  dirFd = -1;
  name: Uint8Array = new Uint8Array(0);
  chown = (uid: number, gid: number): number => fchownat(this.dirFd, this.name, uid, gid);
  chmod = (mode: number): number => fchmodat(this.dirFd, this.name, mode);
  setTimes = (seconds: number, nanoseconds: number): number => utimensat(this.dirFd, this.name, seconds, nanoseconds);
  setXattr = (name: Uint8Array, value: Uint8Array): number => setxattrAt(this.dirFd, this.name, name, value);
  removeXattr = (name: Uint8Array): number => removexattrAt(this.dirFd, this.name, name);
  stat = (out: StatRecord): number => statAt(this.dirFd, this.name, out);
}

export interface NamedValue {
  readonly name: Uint8Array;
  readonly value: Uint8Array;
}

// Packed for the arena of a window, for each attribute (size, meaning):
//   2 length of the name   4 length of the value   name   value          (little-endian)
const PACKED_HEADER = 6;

export function encodeXattrs(xattrs: readonly NamedValue[] | undefined): Uint8Array | undefined {
  if (xattrs === undefined || xattrs.length === 0) return undefined;
  const total = xattrs.reduce((sum, { name, value }) => sum + PACKED_HEADER + name.length + value.length, 0);
  const out = Buffer.alloc(total);
  let at = 0;
  for (const { name, value } of xattrs) {
    out.writeUInt16LE(name.length, at);
    out.writeUInt32LE(value.length, at + 2);
    out.set(name, at + PACKED_HEADER);
    out.set(value, at + PACKED_HEADER + name.length);
    at += PACKED_HEADER + name.length + value.length;
  }
  return out;
}

export function* decodeXattrs(packed: Uint8Array): Generator<NamedValue> {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let at = 0; at < packed.length;) {
    const nameLength = view.getUint16(at, true);
    const valueLength = view.getUint32(at + 2, true);
    const start = at + PACKED_HEADER;
    // Copies: these are rare, small, and must not lie in shared memory when the binding takes their address.
    const name = packed.slice(start, start + nameLength);
    const value = packed.slice(start + nameLength, start + nameLength + valueLength);
    yield { name, value };
    at = start + nameLength + valueLength;
  }
}
