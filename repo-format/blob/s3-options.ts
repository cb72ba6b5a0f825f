/** Where in S3 a repository is and how to speak to the store. Plain data; a Velero location or a URL becomes this. */
export interface S3Options {
  readonly bucket: string;
  /** Before every blob's name, as it is; ends with a slash when a folder is meant. */
  readonly prefix: string;
  /** `https://host:port`; undefined for Amazon's own, which follows from the region. */
  readonly endpoint?: string;
  /** Undefined: with an endpoint `us-east-1`, which most stores do not look at; else that of the bucket. */
  readonly region?: string;
  /** The bucket in the path, not in the host name. Default: with an endpoint. */
  readonly forcePathStyle?: boolean;
  readonly insecureSkipTlsVerify?: boolean;
  /** Certificates of authorities that count besides the system's. */
  readonly caCertPem?: string;
  /** Profile of the credentials file. */
  readonly profile?: string;
  /** An INI file of credentials, and of configuration; undefined: what the environment and the machine give. */
  readonly credentialsFile?: string;
  /** For programs that have them at hand; a command line never does. */
  readonly credentials?: S3Credentials;
  /** `AES256` or `aws:kms`. */
  readonly serverSideEncryption?: string;
  /** Key of `aws:kms`, which it implies. */
  readonly kmsKeyId?: string;
  /** Tags of every object, as `k=v&k=v`. */
  readonly tagging?: string;
  /** Storage class where the repository's own `.storageconfig` names none. */
  readonly storageClass?: string;
  /** A checksum that goes with every put. Default: CRC32 at Amazon, the signed SHA-256 elsewhere. `none`: the latter always. */
  readonly checksumAlgorithm?: S3Checksum;
  /** Connections at a time. */
  readonly maxConnections?: number;
  /** Until a connection is there. */
  readonly connectTimeoutMs?: number;
  /** Without a byte in either direction. */
  readonly idleTimeoutMs?: number;
}

export type S3Checksum = 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256' | 'none';

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}
