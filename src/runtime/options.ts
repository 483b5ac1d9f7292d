export interface DeviceOptions {
  /** `max` (default) asks for all that the adapter offers; `default` keeps to WebGPU's guaranteed limits. */
  readonly limits?: "max" | "default";
  /** `none` leaves every optional feature off. */
  readonly features?: "all" | "none";
  /** Ask for timestamps, for traces and benchmarks. */
  readonly timestamps?: boolean;
  readonly powerPreference?: GPUPowerPreference;
  /** Take the software driver even where there is a GPU. */
  readonly forceFallbackAdapter?: boolean;
  /** Refuse allocations beyond this many bytes of GPU memory. Default: no limit but the adapter's. */
  readonly maxMemory?: number;
  /**
   * Stands for `maxMemory` where the adapter is a CPU and its memory the machine's: lavapipe promises any amount and
   * ends the process when it is not there. The Node half passes what the machine has.
   */
  readonly hostMemory?: number;
  /**
   * Called while the host waits for a CPU adapter; returns a function that ends it. The Node half passes a loop that
   * keeps Dawn's polling from taking a core away from the adapter (see node/dawn.ts).
   */
  readonly whileWaiting?: () => () => void;
}
