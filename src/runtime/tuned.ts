/** What `clipcap tune` found on an adapter. */
export interface Tuned {
  /** Names the choices in results: equal digests, equal kernels. */
  readonly digest: string;
  /** Name of the fastest variant by class of shapes; a class that is not here takes the built-in one. */
  readonly choices: Readonly<Record<string, string>>;
}
