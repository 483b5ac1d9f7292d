import { ClipCapError } from "./errors.js";

/** Bytes on the GPU, now and at the worst moment, in all and for each label. */
export interface MemoryReport {
  readonly used: number;
  readonly peak: number;
  readonly limit: number;
  readonly byLabel: Readonly<Record<string, number>>;
}

/** What takes memory on the GPU. */
export type Allocation = GPUBuffer | GPUTexture;

/** The ledger of GPU memory: every buffer and texture of a device is created and destroyed through it. */
export class MemoryLedger {
  private used = 0;
  private peak = 0;
  private readonly byLabel = new Map<string, number>();
  private readonly allocations = new Map<Allocation, { label: string; bytes: number }>();

  constructor(private readonly limit: number) {}

  /** @throws ClipCapError `out-of-memory` before the GPU is asked, when a limit was set and this would exceed it. */
  admit(label: string, bytes: number): void {
    if (this.used + bytes > this.limit) {
      throw new ClipCapError(
        "out-of-memory",
        `${label} needs ${mebibytes(bytes)} of GPU memory, but ${mebibytes(this.used)} of the allowed ` +
          `${mebibytes(this.limit)} are in use; use a smaller model, batch or dtype (f16, q8), or raise maxMemory`,
      );
    }
  }

  add(allocation: Allocation, label: string, bytes: number): void {
    this.allocations.set(allocation, { label, bytes });
    this.used += bytes;
    this.peak = Math.max(this.peak, this.used);
    this.byLabel.set(label, (this.byLabel.get(label) ?? 0) + bytes);
  }

  remove(allocation: Allocation): void {
    const entry = this.allocations.get(allocation);
    if (!entry) return;
    this.allocations.delete(allocation);
    this.used -= entry.bytes;
    const rest = this.byLabel.get(entry.label)! - entry.bytes;
    if (rest > 0) this.byLabel.set(entry.label, rest);
    else this.byLabel.delete(entry.label);
  }

  has(allocation: Allocation): boolean {
    return this.allocations.has(allocation);
  }

  all(): Allocation[] {
    return [...this.allocations.keys()];
  }

  report(): MemoryReport {
    return { used: this.used, peak: this.peak, limit: this.limit, byLabel: Object.fromEntries(this.byLabel) };
  }
}

/** For messages: `12.5 MiB`. */
export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** Whether an error that WebGPU reported says that memory ran out. */
export function isOutOfMemory(error: GPUError): boolean {
  return error.constructor.name === "GPUOutOfMemoryError"; // Node has no global to compare with
}
