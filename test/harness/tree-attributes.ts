// The bytes of ACLs and file capabilities as the kernel keeps them in xattrs, so that tests need no setfacl or setcap.

const ACL_TAGS = { 'user-owner': 0x01, user: 0x02, 'group-owner': 0x04, group: 0x08, mask: 0x10, other: 0x20 } as const;

interface AclEntry {
  readonly tag: keyof typeof ACL_TAGS;
  /** rwx as 4, 2, 1. */
  readonly permissions: number;
  /** For `user` and `group`. */
  readonly id?: number;
}

/** The xattr names of the two kinds of ACL, and of capabilities. */
export const ACL_ACCESS = 'system.posix_acl_access';
export const ACL_DEFAULT = 'system.posix_acl_default';
export const CAPABILITY = 'security.capability';

// ACL: 0 4 version (2), then entries of 2 tag, 2 permissions, 4 id; little-endian. The kernel wants them sorted by tag.
function posixAcl(entries: readonly AclEntry[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 + entries.length * 8));
  view.setUint32(0, 2, true);
  entries.forEach((entry, i) => {
    view.setUint16(4 + i * 8, ACL_TAGS[entry.tag], true);
    view.setUint16(6 + i * 8, entry.permissions, true);
    view.setUint32(8 + i * 8, entry.id ?? 0xffff_ffff, true);
  });
  return new Uint8Array(view.buffer);
}

/** An ACL that gives one more user `permissions` on a file of mode 0640. */
export function aclForUser(id: number, permissions: number): Uint8Array {
  return posixAcl([
    { tag: 'user-owner', permissions: 6 },
    { tag: 'user', permissions, id },
    { tag: 'group-owner', permissions: 4 },
    { tag: 'mask', permissions: permissions | 4 },
    { tag: 'other', permissions: 0 },
  ]);
}

/** `vfs_cap_data` version 2: bits of capabilities that are permitted, and effective from the start. */
export function fileCapability(permitted: number, effective = true): Uint8Array {
  const view = new DataView(new ArrayBuffer(20));
  view.setUint32(0, 0x0200_0000 | (effective ? 1 : 0), true);
  view.setUint32(4, permitted, true);
  return new Uint8Array(view.buffer);
}

export const CAP_NET_BIND_SERVICE = 1 << 10;
