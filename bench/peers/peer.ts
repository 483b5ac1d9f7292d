import type { Case } from "./cases.js";
import type { Loaded } from "./library.js";

/** One side of a comparison as the harness sees it: a process (child.ts) or a browser (tab.ts) that serves a library. */
export interface Peer {
  /** With the version. */
  readonly name: string;
  /** It crashed, or was ended because it gave no answer. */
  readonly ended: boolean;
  /** Loads the case in place of the last one and calls it a few times. @throws Error with the reason why it cannot. */
  prepare(c: Case): Promise<Loaded>;
  /** Calls until `ms` have passed, at least once. */
  sample(ms: number): Promise<Sample>;
  close(): Promise<void> | void;
}

/** Times per call, in ms. */
export interface Sample {
  readonly wall: number;
  readonly cpu: number;
  /** Cores that other processes kept busy meanwhile. */
  readonly otherLoad: number;
}

/** How a side is opened. */
export interface Contestant {
  /** Until the library has told its version. */
  readonly name: string;
  /** @throws Error with the reason when the library cannot be used here. */
  readonly open: () => Promise<Peer>;
}

/** An answer takes at most this long: drivers compile for a minute, and a busy machine is ten times as slow as a quiet one. */
export const MAX_SECONDS = 600;
