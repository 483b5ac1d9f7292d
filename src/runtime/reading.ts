import type { Device } from "./device.js";
import type { Tensor } from "./tensor.js";

/** Values on their way back from a run. Nothing waits until `get` is called. */
export class Reading {
  private values: Promise<(Float32Array | Uint32Array)[]> | undefined;

  constructor(
    private readonly device: Device,
    private readonly copies: readonly { staging: GPUBuffer; bytes: number; tensor: Tensor }[],
  ) {}

  /** The values in the order they were asked for: f32 as Float32Array, all else as Uint32Array words. */
  get(): Promise<(Float32Array | Uint32Array)[]> {
    return (this.values ??= this.map());
  }

  private async map(): Promise<(Float32Array | Uint32Array)[]> {
    const raw = await Promise.all(this.copies.map((c) => this.device.mapStaging(c.staging, c.bytes)));
    return raw.map((b, i) => (this.copies[i]!.tensor.dtype === "f32" ? new Float32Array(b) : new Uint32Array(b)));
  }

  async f32(index = 0): Promise<Float32Array> {
    return (await this.get())[index] as Float32Array;
  }

  async u32(index = 0): Promise<Uint32Array> {
    return (await this.get())[index] as Uint32Array;
  }
}
