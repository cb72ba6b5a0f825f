/** Where in an object store a repository is: what the options of every provider have. */
export interface StorePlace {
  readonly bucket: string;
  /** Ends with a slash. */
  readonly prefix: string;
  readonly credentialsFile?: string;
  readonly caCertPem?: string;
}
